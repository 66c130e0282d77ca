//! Whether bytes of a file are in the kernel's page cache: asked, never touched.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// The same on every architecture that Node runs on. Linux has it from 6.5 on.
const SYS_CACHESTAT: libc::c_long = 451;
const PAGE_BYTES_MIN: u64 = 4096;

static HAS_CACHESTAT: AtomicBool = AtomicBool::new(true);

/// False also where the kernel does not tell. `length` is more than 0.
pub fn is_resident(file: &File, offset: u64, length: u64) -> bool {
    if HAS_CACHESTAT.load(Ordering::Relaxed) {
        match cached_page_count(file, offset, length) {
            Some(count) => return count >= page_count(offset, length, page_bytes()),
            None => HAS_CACHESTAT.store(false, Ordering::Relaxed),
        }
    }
    is_in_core(file, offset, length)
}

fn cached_page_count(file: &File, offset: u64, length: u64) -> Option<u64> {
    let range = [offset, length];
    // In the cache, dirty, in writeback, evicted, lately evicted.
    let mut counts = [0_u64; 5];
    // SAFETY: both structures are of 64-bit words, as many as the call reads and writes.
    let status = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            range.as_ptr(),
            counts.as_mut_ptr(),
            0,
        )
    };
    (status == 0).then_some(counts[0])
}

/// mincore of a mapping that is made for the question.
fn is_in_core(file: &File, offset: u64, length: u64) -> bool {
    let page = page_bytes();
    let start = offset / page * page;
    let mapped = (offset + length - start) as usize;
    let mut pages = vec![0_u8; page_count(offset, length, page) as usize];
    // SAFETY: a new mapping, which is not read and goes before this returns; the vector has a byte for each of its pages.
    unsafe {
        let address = libc::mmap(
            std::ptr::null_mut(),
            mapped,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            start as libc::off_t,
        );
        if address == libc::MAP_FAILED {
            return false;
        }
        let status = libc::mincore(address, mapped, pages.as_mut_ptr());
        libc::munmap(address, mapped);
        status == 0 && pages.iter().all(|page| page & 1 == 1)
    }
}

fn page_count(offset: u64, length: u64, page: u64) -> u64 {
    (offset + length).div_ceil(page) - offset / page
}

fn page_bytes() -> u64 {
    // SAFETY: no memory is passed.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(PAGE_BYTES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    #[test]
    fn both_ways_to_ask_agree_before_and_after_the_kernel_drops_the_bytes() {
        // Not in /tmp, which may be memory only.
        let path = std::env::current_exe().unwrap().with_extension("residency");
        let mut made = File::create(&path).unwrap();
        made.write_all(&vec![7; 300_000]).unwrap();
        made.sync_all().unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let ask = |offset, length| {
            let cached = cached_page_count(&file, offset, length)
                .map(|count| count == page_count(offset, length, page_bytes()));
            let in_core = is_in_core(&file, offset, length);
            assert!(cached.is_none_or(|cached| cached == in_core));
            assert_eq!(is_resident(&file, offset, length), in_core);
            in_core
        };
        assert!(ask(0, 300_000) && ask(4095, 2) && ask(299_999, 1));
        drop_cache(&file);
        assert!(!ask(0, 300_000) && !ask(299_999, 1));
        let mut byte = [0_u8];
        // SAFETY: one byte of this frame.
        unsafe {
            libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM);
            libc::pread(file.as_raw_fd(), byte.as_mut_ptr().cast(), 1, 8192);
        }
        assert!(ask(8192, 4096) && !ask(8191, 2) && !ask(8192, 4097));
    }

    fn drop_cache(file: &File) {
        // SAFETY: no memory is passed.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }
}
