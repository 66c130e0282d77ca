//! Reads a cached page and compares its checksums, in a thread of Node's pool: for whoever wants to know and not to have it.

use std::cell::RefCell;
use std::fs::File;
use std::io::ErrorKind;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::fs::FileExt;

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
        // SAFETY: it stays open until the check is over, and is not closed here.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(self.fd) });
        for (piece, checksums) in (0..).zip(pieces) {
            let from = piece * PIECE_BYTES;
            let length = PIECE_BYTES.min(self.length - from);
            buffer.resize(length as usize, 0);
            match file.read_exact_at(buffer, self.position + from) {
                Ok(()) if blocks_match(buffer, checksums) => {}
                Ok(()) => return DAMAGED,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return DAMAGED,
                Err(error) => return error.raw_os_error().unwrap_or(libc::EIO),
            }
        }
        0
    }
}
