//! Moves bytes from one socket to another without looking at them.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::connection::{is_passing, Received};
use crate::shared::owned;

/// What unprivileged processes may have; a pipe has a slot for each 4 KiB of it, and bytes of a socket come in pieces of any length.
const CAPACITY_BYTES: libc::c_int = 1024 * 1024;

/// Empty between calls.
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    pub fn new() -> io::Result<Self> {
        let mut ends = [0; 2];
        // SAFETY: two descriptors of this frame.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let (reader, writer) = (owned(ends[0])?, owned(ends[1])?);
        // Where it may not grow, it moves less at once.
        // SAFETY: no memory is passed.
        unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, CAPACITY_BYTES) };
        Ok(Self { reader, writer })
    }

    /// Takes at most so many bytes from one socket and gives them to the other; appends to `left` what that does not take now, or never will. How many
    /// were taken.
    pub fn pass(&self, from: &OwnedFd, to: &OwnedFd, max: usize, left: &mut Vec<u8>) -> Received {
        let taken = match usize::try_from(splice(from, &self.writer, max)) {
            Ok(0) => return Received::End,
            Ok(taken) => taken,
            Err(_) if is_passing() => return Received::Nothing,
            Err(_) => return Received::End,
        };
        let mut inside = taken;
        while inside > 0 {
            match usize::try_from(splice(&self.reader, to, inside)) {
                Ok(given @ 1..) => inside -= given,
                _ => break,
            }
        }
        self.take_out(inside, left);
        Received::Some(taken)
    }

    fn take_out(&self, mut count: usize, out: &mut Vec<u8>) {
        out.reserve(count);
        while count > 0 {
            // SAFETY: the room was reserved.
            let read = unsafe {
                libc::read(
                    self.reader.as_raw_fd(),
                    out.spare_capacity_mut().as_mut_ptr().cast(),
                    count,
                )
            };
            // Else the next answer would get the bytes of this one.
            let read = usize::try_from(read).expect("a pipe gives what was put into it");
            // SAFETY: read has written so many bytes of the spare room.
            unsafe { out.set_len(out.len() + read) };
            count -= read;
        }
    }
}

fn splice(from: &OwnedFd, to: &OwnedFd, count: usize) -> isize {
    let none = std::ptr::null_mut();
    // SAFETY: no memory is passed.
    unsafe {
        libc::splice(
            from.as_raw_fd(),
            none,
            to.as_raw_fd(),
            none,
            count,
            libc::SPLICE_F_NONBLOCK,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (TcpStream, OwnedFd) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        far.set_nonblocking(true).unwrap();
        (near, far.into())
    }

    #[test]
    fn what_the_other_does_not_take_is_left_and_nothing_stays_inside() {
        let pipe = Pipe::new().unwrap();
        let ((mut sender, from), (mut receiver, to)) = (pair(), pair());
        let content: Vec<u8> = (0..30_000_000_u32).map(|at| (at % 251) as u8).collect();
        let expected = content.clone();
        let sending = std::thread::spawn(move || sender.write_all(&content));
        let (mut taken, mut left) = (0, Vec::new());
        // Until the other's buffers are full: nobody reads.
        while left.is_empty() {
            if let Received::Some(count) = pipe.pass(&from, &to, 128 * 1024, &mut left) {
                taken += count;
            }
        }
        let mut given = vec![0; taken - left.len()];
        receiver.read_exact(&mut given).unwrap();
        given.extend_from_slice(&left);
        assert!(given[..] == expected[..taken]);
        left.clear();
        drop(receiver);
        while taken < expected.len() {
            left.clear();
            if let Received::Some(count) = pipe.pass(&from, &to, 128 * 1024, &mut left) {
                assert!(expected[..taken + count].ends_with(&left));
                taken += count;
            }
        }
        sending.join().unwrap().unwrap();
        assert!(matches!(pipe.pass(&from, &to, 1, &mut left), Received::End));
    }
}
