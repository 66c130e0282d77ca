//! Reads cached pages and compares their checksums, in a thread of Node's pool: for whoever wants to know and not to have them.

use std::cell::RefCell;
use std::fs::File;
use std::io::ErrorKind;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::fs::FileExt;

use napi::bindgen_prelude::{Env, Result, Task, Uint32Array};
use napi_derive::napi;

use crate::checksums::{blocks_match, BLOCK_BYTES};

/// So much at once stays in the cache of the processor until it is compared.
const PIECE_BYTES: u64 = 4 * BLOCK_BYTES;

/// What does not match, or ends too early.
const DAMAGED: i32 = -1;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A page in its file.
#[napi(object)]
pub struct FileRange {
    pub fd: i32,
    pub position: f64,
    pub length_bytes: f64,
    pub checksums: Uint32Array,
}

struct FileCheck {
    fd: RawFd,
    position: u64,
    length: u64,
    checksums: Vec<u32>,
}

/// One task for several small pages: handing each to a thread costs the caller more than checking it takes.
pub struct FileChecks(Vec<FileCheck>);

impl FileChecks {
    pub fn new(ranges: Vec<FileRange>) -> Self {
        let checks = ranges.into_iter().map(|range| FileCheck {
            fd: range.fd,
            position: range.position as u64,
            length: range.length_bytes as u64,
            checksums: range.checksums.to_vec(),
        });
        Self(checks.collect())
    }
}

impl Task for FileChecks {
    type Output = Vec<i32>;
    type JsValue = Vec<i32>;

    fn compute(&mut self) -> Result<Vec<i32>> {
        let run = |buffer: &mut Vec<u8>| self.0.iter().map(|check| check.run(buffer)).collect();
        Ok(BUFFER.with_borrow_mut(run))
    }

    fn resolve(&mut self, _env: Env, output: Vec<i32>) -> Result<Vec<i32>> {
        Ok(output)
    }
}

impl FileCheck {
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
