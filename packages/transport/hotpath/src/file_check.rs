//! Reads a cached page and compares its checksums, in a thread of Node's pool: for whoever wants to know and not to have it.

use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;

use napi::bindgen_prelude::{Env, Result, Task};

use crate::checksums::{blocks_match, BLOCK_BYTES};

/// So much at once stays in the cache of the processor until it is compared.
const PIECE_BYTES: u64 = 4 * BLOCK_BYTES;

/// What does not match, or ends too early.
const DAMAGED: i32 = -1;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub struct FileCheck {
    fd: RawFd,
    position: u64,
    length: u64,
    checksums: Vec<u32>,
}

impl Task for FileCheck {
    type Output = i32;
    type JsValue = i32;

    fn compute(&mut self) -> Result<i32> {
        Ok(BUFFER.with_borrow_mut(|buffer| self.run(buffer)))
    }

    fn resolve(&mut self, _env: Env, output: i32) -> Result<i32> {
        Ok(output)
    }
}

impl FileCheck {
    pub fn new(fd: RawFd, position: u64, length: u64, checksums: Vec<u32>) -> Self {
        Self {
            fd,
            position,
            length,
            checksums,
        }
    }

    fn run(&self, buffer: &mut Vec<u8>) -> i32 {
        let pieces = self.checksums.chunks((PIECE_BYTES / BLOCK_BYTES) as usize);
        if pieces.len() as u64 != self.length.div_ceil(PIECE_BYTES) {
            return DAMAGED;
        }
        for (piece, checksums) in (0..).zip(pieces) {
            let from = piece * PIECE_BYTES;
            let length = PIECE_BYTES.min(self.length - from);
            buffer.resize(length as usize, 0);
            match read_all(self.fd, self.position + from, buffer) {
                Ok(true) if blocks_match(buffer, checksums) => {}
                Ok(_) => return DAMAGED,
                Err(error) => return error.raw_os_error().unwrap_or(libc::EIO),
            }
        }
        0
    }
}

/// False where the file ends before.
fn read_all(fd: RawFd, position: u64, buffer: &mut [u8]) -> io::Result<bool> {
    let mut done = 0;
    while done < buffer.len() {
        let rest = &mut buffer[done..];
        let offset = libc::off_t::try_from(position + done as u64)
            .map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
        // SAFETY: the rest of the buffer is as long as it says.
        let count = unsafe { libc::pread(fd, rest.as_mut_ptr().cast(), rest.len(), offset) };
        match usize::try_from(count) {
            Ok(0) => return Ok(false),
            Ok(count) => done += count,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(true)
}
