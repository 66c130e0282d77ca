//! Reads cached pages of one file and compares their checksums, in a thread of Node's pool: for whoever wants to know and not to have them.

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

struct Range {
    position: u64,
    length: u64,
    checksums: Vec<u32>,
}

/// One task for all that is to be checked: handing a small page to a thread costs the caller more than checking it takes.
pub struct FileCheck {
    fd: RawFd,
    ranges: Vec<Range>,
}

impl FileCheck {
    /// Of each range three numbers: where it is, its length, and how many of the checksums are its own.
    pub fn new(fd: RawFd, ranges: &[f64], checksums: &[u32]) -> Self {
        let mut rest = checksums;
        let ranges = ranges.chunks_exact(3).map(|range| {
            let (own, others) = rest.split_at(rest.len().min(range[2] as usize));
            rest = others;
            Range {
                position: range[0] as u64,
                length: range[1] as u64,
                checksums: own.to_vec(),
            }
        });
        Self {
            fd,
            ranges: ranges.collect(),
        }
    }
}

impl Task for FileCheck {
    type Output = Vec<i32>;
    type JsValue = Vec<i32>;

    fn compute(&mut self) -> Result<Vec<i32>> {
        // SAFETY: it stays open until the check is over, and is not closed here.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(self.fd) });
        let check = |buffer: &mut Vec<u8>| {
            let results = self.ranges.iter().map(|range| range.check(&file, buffer));
            results.collect()
        };
        Ok(BUFFER.with_borrow_mut(check))
    }

    fn resolve(&mut self, _env: Env, output: Vec<i32>) -> Result<Vec<i32>> {
        Ok(output)
    }
}

impl Range {
    fn check(&self, file: &File, buffer: &mut Vec<u8>) -> i32 {
        let pieces = self.checksums.chunks((PIECE_BYTES / BLOCK_BYTES) as usize);
        if pieces.len() as u64 != self.length.div_ceil(PIECE_BYTES) {
            return DAMAGED;
        }
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
