//! One accepted socket: what has come, what is to go, and whose turn it is.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use crate::answer::AnswerKind;
use crate::body::Body;
use crate::page::{Check, Extent};
use crate::relay::Relay;
use crate::table::FileKey;

/// What one connection may send before the others have a turn.
pub const TURN_BYTES: usize = 2 * 1024 * 1024;
const READ_BYTES: usize = 4096;
/// Bodies that are no longer than this go out in one call, with their heads; longer ones from the file itself.
const SHORT_MAX_BYTES: u64 = 64 * 1024;
const SHORT_EXTENTS_MAX: usize = 3;

pub enum Phase {
    /// Waits for a whole request head.
    Head,
    /// The table's answer is on its way.
    Fast(FastAnswer),
    /// Another worker's answer is on its way.
    Relay(Box<Relay>),
    /// TypeScript has the request.
    Up(Exchange),
    /// Nothing more is said; what comes is thrown away until the client is done, so that a reset does not overtake the last answer.
    Closing,
}

pub struct Exchange {
    /// What is left of the request's.
    pub body: Body,
    /// Something of the answer was handed down.
    pub is_begun: bool,
    pub is_body_wanted: bool,
    pub is_answered: bool,
    pub is_kept: bool,
}

pub enum Flush {
    Done,
    /// The socket takes no more now.
    Blocked,
    /// The turn is used up.
    Yield,
    /// Blocks of the table's answer have to be checked first.
    Unchecked(Check),
    Failed,
}

/// What the table answers, and what is needed to let TypeScript go on with it.
pub struct FastAnswer {
    pub kind: AnswerKind,
    pub body_bytes: u64,
    /// Of the file: one after the last byte that was asked for.
    pub to: u64,
    pub file: FileKey,
    pub etag: Arc<[u8]>,
    /// The check that it waits for, and how many there were since a byte was sent.
    pub check: Option<u64>,
    pub barren_checks: u32,
    /// Whether the connection is, once all has gone.
    pub is_kept: bool,
    pub begun_at: Instant,
    pub sequence: u64,
}

/// What a read of a socket gave.
pub enum Received {
    Some(usize),
    Nothing,
    End,
}

pub struct Connection {
    pub socket: OwnedFd,
    pub id: u64,
    pub listener: u32,
    pub remote_address: Option<IpAddr>,
    pub phase: Phase,
    pub input: Vec<u8>,
    pub out: Vec<u8>,
    out_at: usize,
    pub extents: Vec<Extent>,
    extent_at: usize,
    /// The head of the request that is answered without TypeScript, as it came.
    pub request: Vec<u8>,
    pub chunks: VecDeque<Vec<u8>>,
    chunk_at: usize,
    pub is_blocked: bool,
    /// What epoll watches for, once it knows of the connection.
    pub interest: u32,
    pub is_watched: bool,
    pub deadline: Instant,
    /// The client sends no more, and may still read.
    pub has_ended: bool,
    /// Since the first byte of a head that is not whole: its time does not begin anew with each byte.
    pub is_head_begun: bool,
}

impl Connection {
    pub fn new(
        socket: OwnedFd,
        id: u64,
        listener: u32,
        remote: Option<IpAddr>,
        deadline: Instant,
    ) -> Self {
        Self {
            socket,
            id,
            listener,
            remote_address: remote,
            phase: Phase::Head,
            input: Vec::new(),
            out: Vec::new(),
            out_at: 0,
            extents: Vec::new(),
            extent_at: 0,
            request: Vec::new(),
            chunks: VecDeque::new(),
            chunk_at: 0,
            is_blocked: false,
            interest: 0,
            is_watched: false,
            deadline,
            has_ended: false,
            is_head_begun: false,
        }
    }

    /// Whether the table's answer is on its way.
    pub fn is_fast(&self) -> bool {
        matches!(self.phase, Phase::Fast(_))
    }

    /// Reads what has come, once.
    pub fn fill(&mut self) -> Received {
        self.input.reserve(READ_BYTES);
        let room = self.input.capacity() - self.input.len();
        receive(&self.socket, &mut self.input, room)
    }

    /// Whether all that the client has sent so far was read: else a close would be a reset, which takes what was sent last with it.
    pub fn is_read_out(&self) -> bool {
        let mut byte = 0_u8;
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: one byte of this frame.
        let count =
            unsafe { libc::recv(self.socket.as_raw_fd(), (&raw mut byte).cast(), 1, flags) };
        self.input.is_empty() && count <= 0
    }

    pub fn consume(&mut self, count: usize) {
        if count == self.input.len() {
            self.input.clear();
        } else {
            self.input.drain(..count);
        }
    }

    pub fn begin_fast(&mut self, answer: FastAnswer) {
        self.out_at = 0;
        self.extent_at = 0;
        self.phase = Phase::Fast(answer);
    }

    /// Of the body of the table's answer, what has not gone.
    pub fn unsent_bytes(&self) -> u64 {
        self.extents[self.extent_at..]
            .iter()
            .map(|extent| extent.length)
            .sum()
    }

    /// What has not gone of the head of the table's answer; undefined when none of it has.
    pub fn unsent_head(&self) -> Option<&[u8]> {
        (self.out_at > 0).then(|| &self.out[self.out_at..])
    }

    /// Sends on with the table's answer.
    pub fn flush_fast(&mut self) -> Flush {
        if let Err(flush) = self.send_short() {
            return self.stopped(flush);
        }
        let mut budget = TURN_BYTES;
        while let Some(extent) = self.extents.get_mut(self.extent_at) {
            if budget == 0 {
                return self.stopped(Flush::Yield);
            }
            let sendable = match extent.sendable(budget as u64) {
                Ok(sendable) => sendable as usize,
                Err(check) => return self.stopped(Flush::Unchecked(check)),
            };
            if let Err(flush) = self.send_out(libc::MSG_MORE) {
                return self.stopped(flush);
            }
            let extent = &mut self.extents[self.extent_at];
            match send_file(&self.socket, extent, sendable) {
                Ok(count) => {
                    budget -= count;
                    if let Phase::Fast(answer) = &mut self.phase {
                        answer.barren_checks = 0;
                    }
                    extent.advance(count as u64);
                    if extent.length == 0 {
                        self.extent_at += 1;
                    }
                }
                Err(flush) => return self.stopped(flush),
            }
        }
        if let Err(flush) = self.send_out(0) {
            return self.stopped(flush);
        }
        self.out.clear();
        self.stopped(Flush::Done)
    }

    /// Sends a body that is short enough with its head, in one call, as far as the socket takes them.
    fn send_short(&mut self) -> Result<(), Flush> {
        let unsent_bytes = self.unsent_bytes();
        let extent_count = self.extents.len() - self.extent_at;
        let is_short = unsent_bytes > 0 && unsent_bytes <= SHORT_MAX_BYTES;
        if self.out_at > 0 || !is_short || extent_count > SHORT_EXTENTS_MAX {
            return Ok(());
        }
        let mut parts = [part_of(&self.out); 1 + SHORT_EXTENTS_MAX];
        for (part, extent) in parts[1..].iter_mut().zip(&self.extents[self.extent_at..]) {
            match extent.part().map_err(Flush::Unchecked)? {
                Some(mapped) => *part = mapped,
                None => return Ok(()),
            }
        }
        let mut left = send_parts(&self.socket, &parts[..=extent_count])?;
        self.out_at = left.min(self.out.len());
        left -= self.out_at;
        while let Some(extent) = self.extents.get_mut(self.extent_at).filter(|_| left > 0) {
            let count = extent.length.min(left as u64);
            extent.advance(count);
            left -= count as usize;
            self.extent_at += usize::from(extent.length == 0);
        }
        Ok(())
    }

    fn send_out(&mut self, flags: libc::c_int) -> Result<(), Flush> {
        while self.out_at < self.out.len() {
            self.out_at += send(&self.socket, &self.out[self.out_at..], flags)?;
        }
        Ok(())
    }

    /// Sends on with what TypeScript handed down; counts the chunks that went.
    pub fn flush_chunks(&mut self, sent: &mut u32) -> Flush {
        let mut budget = TURN_BYTES;
        while let Some(chunk) = self.chunks.front() {
            if self.chunk_at == chunk.len() {
                self.chunks.pop_front();
                self.chunk_at = 0;
                *sent += 1;
                continue;
            }
            if budget == 0 {
                return self.stopped(Flush::Yield);
            }
            let end = chunk.len().min(self.chunk_at + budget);
            match send(&self.socket, &chunk[self.chunk_at..end], 0) {
                Ok(count) => {
                    self.chunk_at += count;
                    budget -= count;
                }
                Err(flush) => return self.stopped(flush),
            }
        }
        self.stopped(Flush::Done)
    }

    fn stopped(&mut self, flush: Flush) -> Flush {
        self.is_blocked = matches!(flush, Flush::Blocked);
        flush
    }

    /// Makes the close of the socket a reset, so that nobody takes a part for the whole.
    pub fn reset_on_close(&self) {
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: the option is a linger of this frame, with its size.
        unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                size_of::<libc::linger>() as libc::socklen_t,
            )
        };
    }

    /// Says to the client that nothing more comes.
    pub fn shut_down(&mut self) {
        // SAFETY: no memory is passed.
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_WR) };
        self.input.clear();
        self.phase = Phase::Closing;
    }

    /// A short last word, as far as the socket takes it at once.
    pub fn say(&self, text: &str) {
        let _ = send(&self.socket, text.as_bytes(), 0);
    }

    /// What is waited for while an answer is on its way: room in the socket, and, once, the end of what the client sends.
    fn out_and_end(&self) -> libc::c_int {
        if_set(self.is_blocked, libc::EPOLLOUT) | if_set(!self.has_ended, libc::EPOLLRDHUP)
    }

    pub fn interest_wanted(&self) -> u32 {
        let events = match &self.phase {
            Phase::Head | Phase::Closing => libc::EPOLLIN,
            Phase::Fast(answer) if answer.check.is_some() => 0,
            Phase::Fast(_) if self.is_blocked => libc::EPOLLOUT,
            Phase::Fast(_) => return self.interest,
            // Its next request waits; once some of it was read, the rest stays where it is.
            Phase::Relay(_) => {
                let is_read = self.input.is_empty() && !self.is_blocked && !self.has_ended;
                if_set(is_read, libc::EPOLLIN) | self.out_and_end()
            }
            Phase::Up(exchange) => {
                if_set(exchange.is_body_wanted, libc::EPOLLIN) | self.out_and_end()
            }
        };
        events as u32
    }
}

fn if_set(is_set: bool, flag: libc::c_int) -> libc::c_int {
    if is_set {
        flag
    } else {
        0
    }
}

/// Appends at most so many bytes.
pub fn receive(socket: &OwnedFd, buffer: &mut Vec<u8>, max: usize) -> Received {
    buffer.reserve(max);
    // SAFETY: the room was reserved.
    let count = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            buffer.spare_capacity_mut().as_mut_ptr().cast(),
            max,
            0,
        )
    };
    match usize::try_from(count) {
        Ok(0) => Received::End,
        Ok(count) => {
            // SAFETY: recv has written so many bytes of the spare room.
            unsafe { buffer.set_len(buffer.len() + count) };
            Received::Some(count)
        }
        Err(_) if is_passing() => Received::Nothing,
        Err(_) => Received::End,
    }
}

/// Sends at most so many bytes of an extent from the file itself.
fn send_file(socket: &OwnedFd, extent: &Extent, length: usize) -> Result<usize, Flush> {
    let mut offset = extent.offset() as libc::off_t;
    // SAFETY: both descriptors are open and the offset outlives the call.
    let count = unsafe {
        libc::sendfile(
            socket.as_raw_fd(),
            extent.file().as_raw_fd(),
            &mut offset,
            length,
        )
    };
    match usize::try_from(count) {
        // The file is shorter than it was.
        Ok(0) => Err(Flush::Failed),
        Ok(count) => Ok(count),
        Err(_) if is_passing() => Err(Flush::Blocked),
        Err(_) => Err(Flush::Failed),
    }
}

pub fn part_of(bytes: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

/// Sends one after the other, in one call. The parts are of live slices or of mappings that are held.
pub fn send_parts(socket: &OwnedFd, parts: &[libc::iovec]) -> Result<usize, Flush> {
    // SAFETY: a message of zeros is a valid value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_ptr().cast_mut();
    message.msg_iovlen = parts.len();
    // SAFETY: the parts outlive the call and are only read, by the kernel, which answers where there is nothing to read.
    let count = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) };
    sent(count)
}

pub fn send(socket: &OwnedFd, bytes: &[u8], flags: libc::c_int) -> Result<usize, Flush> {
    // SAFETY: the bytes are as long as said.
    let count = unsafe {
        libc::send(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags | libc::MSG_NOSIGNAL,
        )
    };
    sent(count)
}

/// What a call that sends came to.
fn sent(count: isize) -> Result<usize, Flush> {
    usize::try_from(count).map_err(|_| {
        if is_passing() {
            Flush::Blocked
        } else {
            Flush::Failed
        }
    })
}

/// Whether the call that has just failed only has to wait.
pub fn is_passing() -> bool {
    let error = std::io::Error::last_os_error().raw_os_error();
    matches!(error, Some(libc::EAGAIN | libc::EINTR))
}
