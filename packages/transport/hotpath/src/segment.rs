//! An open segment file of the page store, mapped so that the kernel can copy from it into a socket. Nothing here looks into the mapping: a file that
//! was cut short is an error of the call that sends, and a signal to whoever reads it.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Address space that a segment gets at least: the page store's are no larger, and grow while they are open here.
const MAPPED_MIN_BYTES: u64 = 256 * 1024 * 1024;

pub struct Segment {
    file: File,
    /// Null where the file cannot be mapped.
    start: *mut libc::c_void,
    mapped_bytes: usize,
}

// SAFETY: the mapping is never read or written through the pointer, and goes with the one that owns it.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// Without readahead, by the descriptor or the mapping: nothing comes from the disk that was not asked for.
    pub fn open(path: &str) -> Option<Self> {
        let file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        let mapped_bytes = size.max(MAPPED_MIN_BYTES) as usize;
        // SAFETY: a new mapping, which nobody dereferences.
        let start = unsafe {
            libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM);
            libc::mmap(
                std::ptr::null_mut(),
                mapped_bytes,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            let start = std::ptr::null_mut();
            return Some(Self {
                file,
                start,
                mapped_bytes: 0,
            });
        }
        // SAFETY: the mapping that was just made.
        unsafe { libc::madvise(start, mapped_bytes, libc::MADV_RANDOM) };
        Some(Self {
            file,
            start,
            mapped_bytes,
        })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where bytes [offset, offset + length) are for a system call; undefined when they are not mapped.
    pub fn part(&self, offset: u64, length: u64) -> Option<libc::iovec> {
        let is_mapped = offset + length <= self.mapped_bytes as u64;
        is_mapped.then(|| libc::iovec {
            iov_base: self.start.wrapping_byte_add(offset as usize),
            iov_len: length as usize,
        })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.start.is_null() {
            // SAFETY: the mapping that `open` made, as long as it made it; whoever sends from it holds this.
            unsafe { libc::munmap(self.start, self.mapped_bytes) };
        }
    }
}
