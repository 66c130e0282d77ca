//! Writes into files in a thread of their own, one after the other: two threads that write to one file at a time wait for each other with a processor each, and handing each write to
//! a pool of threads costs the caller more than a small one takes. docs/decisions/0013-writer-thread.md has the figures.

use std::io;
use std::os::fd::RawFd;
use std::sync::mpsc::{channel, Receiver, Sender};

use napi::bindgen_prelude::{Error, Result, Status};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

/// IOV_MAX of Linux.
const PIECES_MAX: usize = 1024;

/// A write that is over; an errno of 0 says that all of it was written.
#[napi(object)]
pub struct EndedWrite {
    pub id: u32,
    pub errno: i32,
}

/// Bytes that belong to TypeScript, which keeps them until it is told of the end.
struct Piece {
    start: *const u8,
    length: usize,
}

struct Write {
    id: u32,
    fd: RawFd,
    pieces: Vec<Piece>,
    position: u64,
}

// SAFETY: the bytes stay where they are until the write is over, and only the kernel looks at them.
unsafe impl Send for Write {}

/// Does not keep the process alive.
type OnEnded = ThreadsafeFunction<EndedWrite, (), EndedWrite, Status, false, true>;

#[napi]
pub struct FileWriter {
    /// None once it is closed.
    queue: Option<Sender<Write>>,
}

#[napi]
impl FileWriter {
    /// One call of the kernel writes no more than `call_max_bytes`, and ends at a multiple of them.
    #[napi(constructor)]
    pub fn new(
        call_max_bytes: u32,
        on_ended: ThreadsafeFunction<EndedWrite, (), EndedWrite, Status, false, true>,
    ) -> Result<Self> {
        let (queue, writes) = channel();
        std::thread::Builder::new()
            .name("page-writer".to_owned())
            .spawn(move || run(&writes, u64::from(call_max_bytes.max(1)), &on_ended))?;
        Ok(Self { queue: Some(queue) })
    }

    /// Writes the pieces one behind the other. They must not change before `on_ended` has told of this `id`, and the descriptor must stay open.
    #[napi]
    pub fn write(&self, id: u32, fd: i32, pieces: Vec<&[u8]>, position: f64) -> Result<()> {
        let pieces = pieces.iter().map(|piece| Piece {
            start: piece.as_ptr(),
            length: piece.len(),
        });
        let write = Write {
            id,
            fd,
            pieces: pieces.filter(|piece| piece.length > 0).collect(),
            position: position as u64,
        };
        let queue = self.queue.as_ref();
        let queue = queue.ok_or_else(|| Error::from_reason("the file writer is closed"))?;
        // The thread ends only after this sender has gone.
        let _ = queue.send(write);
        Ok(())
    }

    /// The thread ends when it has done what it was asked for. No write may follow.
    #[napi]
    pub fn close(&mut self) {
        self.queue = None;
    }
}

/// Ends when nobody can ask any more.
fn run(writes: &Receiver<Write>, call_max: u64, on_ended: &OnEnded) {
    for write in writes {
        let errno = write_all(&write, call_max)
            .err()
            .map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
        let ended = EndedWrite {
            id: write.id,
            errno,
        };
        on_ended.call(ended, ThreadsafeFunctionCallMode::NonBlocking);
    }
}

fn write_all(write: &Write, call_max: u64) -> io::Result<()> {
    let mut position = write.position;
    // Of the pieces, what is left to write.
    let (mut piece, mut from) = (0, 0);
    while piece < write.pieces.len() {
        let vectors = vectors_of(&write.pieces[piece..], from, call_max - position % call_max);
        let Some(count) = write_once(write.fd, &vectors, position)? else {
            continue;
        };
        position += count as u64;
        let mut left = count;
        while piece < write.pieces.len() && left >= write.pieces[piece].length - from {
            left -= write.pieces[piece].length - from;
            (piece, from) = (piece + 1, 0);
        }
        from += left;
    }
    Ok(())
}

/// The pieces without the first `from` bytes, up to `bytes_max`.
fn vectors_of(pieces: &[Piece], from: usize, bytes_max: u64) -> Vec<libc::iovec> {
    let mut left = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let mut vectors = Vec::with_capacity(pieces.len().min(PIECES_MAX));
    for (index, piece) in pieces.iter().take(PIECES_MAX).enumerate() {
        let skipped = if index == 0 { from } else { 0 };
        let length = left.min(piece.length - skipped);
        if length == 0 {
            break;
        }
        vectors.push(libc::iovec {
            // SAFETY: `skipped` lies within the piece.
            iov_base: unsafe { piece.start.add(skipped) }.cast_mut().cast(),
            iov_len: length,
        });
        left -= length;
    }
    vectors
}

/// How much was written; none where the call is to be made again.
fn write_once(fd: RawFd, vectors: &[libc::iovec], position: u64) -> io::Result<Option<usize>> {
    let offset =
        libc::off_t::try_from(position).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: the vectors name memory that lives until the write is over; at most PIECES_MAX of them.
    let count =
        unsafe { libc::pwritev(fd, vectors.as_ptr(), vectors.len() as libc::c_int, offset) };
    match usize::try_from(count) {
        Ok(0) => Err(io::Error::from_raw_os_error(libc::EIO)),
        Ok(count) => Ok(Some(count)),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            error => Err(error),
        },
    }
}
