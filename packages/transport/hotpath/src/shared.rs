//! What both threads touch: what the table and the routes know, what is counted, and the queue of what TypeScript has for the thread that owns the sockets.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use crate::delays::Delays;
use crate::listener::Listener;
use crate::locked;
use crate::route::Routes;
use crate::table::Table;
use crate::uses::{Counts, Uses};

pub const LISTENERS_MAX: usize = 8;

pub enum Command {
    Listen(Listener),
    Write(u64, Vec<u8>),
    End(u64, bool),
    PullBody(u64),
    Reset(u64),
    /// A check of this connection and number is over; whether all was as it should be.
    Checked(u64, u64, bool),
    /// Whether it is to be counted how late the thread comes.
    WatchDelays(bool),
    Drain,
    Stop,
}

pub struct Shared {
    pub table: Mutex<Table>,
    pub routes: Mutex<Routes>,
    pub counts: [Counts; LISTENERS_MAX],
    pub uses: Uses,
    pub delays: Delays,
    commands: Mutex<Commands>,
    wake: OwnedFd,
}

#[derive(Default)]
struct Commands {
    waiting: Vec<Command>,
    /// The thread has been told, and has not looked yet.
    is_told: bool,
}

impl Shared {
    pub fn new(table: Table, routes: Routes, uses: Uses) -> std::io::Result<Self> {
        // SAFETY: no memory is passed.
        let wake = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        Ok(Self {
            table: Mutex::new(table),
            routes: Mutex::new(routes),
            counts: Default::default(),
            uses,
            delays: Delays::default(),
            commands: Mutex::default(),
            wake,
        })
    }

    /// Readable when there is something to take.
    pub fn wake_fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    pub fn send(&self, command: Command) {
        self.queue(command);
        self.tell();
    }

    /// Has the command wait for the next `tell`, or whenever the thread looks.
    pub fn queue(&self, command: Command) {
        locked(&self.commands).waiting.push(command);
    }

    /// Wakes the thread if there is anything that it has not been told of.
    pub fn tell(&self) {
        let mut commands = locked(&self.commands);
        if commands.is_told || commands.waiting.is_empty() {
            return;
        }
        commands.is_told = true;
        // Not while it would find the lock taken.
        drop(commands);
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight bytes of this frame. The counter cannot overflow: it is read before it is written again.
        unsafe { libc::write(self.wake.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// All that waits, in the order in which it came; what comes from now on wakes the thread again.
    pub fn take_commands(&self) -> Vec<Command> {
        let mut count = [0_u8; 8];
        // SAFETY: eight bytes of this frame.
        unsafe {
            libc::read(
                self.wake.as_raw_fd(),
                count.as_mut_ptr().cast(),
                count.len(),
            )
        };
        let mut commands = locked(&self.commands);
        commands.is_told = false;
        std::mem::take(&mut commands.waiting)
    }
}

pub fn owned(fd: libc::c_int) -> std::io::Result<OwnedFd> {
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made by the caller's call and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
