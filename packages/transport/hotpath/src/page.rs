//! A cached page where it lies in its segment's file, and which of its blocks may be sent from there: those whose bytes were checked since
//! somebody may last have read them from the disk, as long as the kernel still has them in memory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use crate::checksums::{blocks_match, BLOCK_BYTES};
use crate::locked;
use crate::residency::is_resident;
use crate::segment::Segment;
use crate::uses::PageUse;

pub struct Page {
    /// Holding it keeps the bytes readable after the file was unlinked.
    segment: Arc<Segment>,
    /// Of the segment.
    offset: u64,
    length: u64,
    checksums: Box<[u32]>,
    checked: Mutex<Checked>,
    pub uses: Arc<PageUse>,
}

struct Checked {
    blocks: Box<[u64]>,
    /// Grows whenever blocks are forgotten: a check that began before does not count.
    forgotten_count: u32,
}

/// Blocks [from, to) of a page that have to be read and checked.
pub struct Check {
    page: Arc<Page>,
    from: u64,
    to: u64,
}

/// Bytes of a page that are to be sent.
pub struct Extent {
    pub page: Arc<Page>,
    /// Within the page.
    pub from: u64,
    pub length: u64,
}

impl Page {
    /// Undefined when there are not as many checksums as blocks.
    pub fn new(
        segment: Arc<Segment>,
        offset: u64,
        checksums: &[u32],
        uses: PageUse,
    ) -> Option<Self> {
        let length = uses.length;
        if checksums.len() as u64 != length.div_ceil(BLOCK_BYTES) {
            return None;
        }
        Some(Self {
            segment,
            offset,
            length,
            checksums: checksums.into(),
            checked: Mutex::new(Checked {
                blocks: vec![0; checksums.len().div_ceil(64)].into(),
                forgotten_count: 0,
            }),
            uses: Arc::new(uses),
        })
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// Memory that it takes beside its own fields.
    pub fn cost(&self) -> usize {
        self.checksums.len() * 4 + self.checksums.len().div_ceil(64) * 8
    }

    /// Bytes [offset, offset + length) of the file are no longer known to be what was checked.
    pub fn forget(&self, offset: u64, length: u64) {
        let end = (offset + length).min(self.offset + self.length);
        let start = offset.max(self.offset);
        if start < end {
            self.forget_blocks(
                (start - self.offset) / BLOCK_BYTES,
                (end - self.offset).div_ceil(BLOCK_BYTES),
            );
        }
    }

    fn forget_blocks(&self, from: u64, to: u64) {
        let mut checked = locked(&self.checked);
        checked.forgotten_count = checked.forgotten_count.wrapping_add(1);
        for block in from..to {
            checked.blocks[(block / 64) as usize] &= !(1 << (block % 64));
        }
    }

    /// How many of the blocks [from, to) were checked, from the first on.
    fn checked_blocks(&self, from: u64, to: u64) -> u64 {
        let checked = locked(&self.checked);
        let is_checked =
            |block: &u64| checked.blocks[(block / 64) as usize] >> (block % 64) & 1 == 1;
        (from..to).take_while(is_checked).count() as u64
    }

    /// At most how many of the bytes [from, from + length) may be sent now.
    fn sendable(self: &Arc<Self>, from: u64, length: u64) -> Result<u64, Check> {
        let (first, end) = (from / BLOCK_BYTES, (from + length).div_ceil(BLOCK_BYTES));
        let count = self.checked_blocks(first, end);
        let sendable = length.min(((first + count) * BLOCK_BYTES).saturating_sub(from));
        if count > 0 && is_resident(self.segment.file(), self.offset + from, sendable) {
            return Ok(sendable);
        }
        Err(Check::new(self, first, end))
    }
}

impl Check {
    fn new(page: &Arc<Page>, from: u64, to: u64) -> Self {
        page.forget_blocks(from, to);
        let page = Arc::clone(page);
        Self { page, from, to }
    }

    /// Reads the blocks and compares their checksums; false when one is bad or the disk does not give it. Waits for the disk.
    pub fn run(&self, buffer: &mut Vec<u8>) -> bool {
        let Self { page, from, to } = self;
        let forgotten_count = locked(&page.checked).forgotten_count;
        let start = from * BLOCK_BYTES;
        let length = (to * BLOCK_BYTES).min(page.length) - start;
        buffer.resize(length as usize, 0);
        // Read, never mapped: a file that was cut short is an error here and a signal there.
        let file = page.segment.file();
        if file.read_exact_at(buffer, page.offset + start).is_err() {
            return false;
        }
        let expected = &page.checksums[*from as usize..*to as usize];
        let are_good = blocks_match(buffer, expected);
        let mut checked = locked(&page.checked);
        if are_good && checked.forgotten_count == forgotten_count {
            for block in *from..*to {
                checked.blocks[(block / 64) as usize] |= 1 << (block % 64);
            }
        }
        are_good
    }
}

impl Extent {
    /// How many of the bytes, at most `max`, may be sent now from `place`.
    pub fn sendable(&self, max: u64) -> Result<u64, Check> {
        self.page.sendable(self.from, self.length.min(max))
    }

    pub fn file(&self) -> &File {
        self.page.segment.file()
    }

    /// Of the file.
    pub fn offset(&self) -> u64 {
        self.page.offset + self.from
    }

    pub fn advance(&mut self, count: u64) {
        self.from += count;
        self.length -= count;
    }

    /// All of the bytes for a system call, when all of them may be sent now and are mapped.
    pub fn part(&self) -> Result<Option<libc::iovec>, Check> {
        let sendable = self.sendable(self.length)?;
        let part = self.page.segment.part(self.offset(), self.length);
        Ok(part.filter(|_| sendable == self.length))
    }
}
