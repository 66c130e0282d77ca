//! What the table's answers used and how long they took, until TypeScript fetches it: uses of pages, times in buckets and, where there is an access
//! log, a line for each. Everything is bounded; what finds no room is dropped and counted.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::answer::{AnswerKind, ANSWER_KINDS};
use crate::locked;
use crate::table::FileKey;

/// Pages that were used since TypeScript fetched them last.
const PAGES_MAX: usize = 65_536;
/// Lines of the access log that wait, with their targets.
const LINES_MAX_BYTES: usize = 8 * 1024 * 1024;
const LINE_COST_BYTES: usize = 128;
/// Bounds of times, and one bucket for what is above all of them.
pub const BUCKETS_MAX: usize = 16;

/// How often a page was used since it was asked last.
pub struct PageUse {
    pub file: FileKey,
    pub index: u64,
    pub length: u64,
    count: AtomicU32,
}

impl PageUse {
    pub fn new(file: FileKey, index: u64, length: u64) -> Self {
        Self {
            file,
            index,
            length,
            count: AtomicU32::new(0),
        }
    }
}

/// Of one listener.
#[derive(Default)]
pub struct Counts {
    /// By kind, complete ones before those that were not.
    pub calls: [[CallCounts; 2]; ANSWER_KINDS],
    pub body_bytes: AtomicU64,
    /// Answers of other workers that were passed on, and the bytes of their bodies.
    pub relayed: AtomicU64,
    pub relayed_bytes: AtomicU64,
}

#[derive(Default)]
pub struct CallCounts {
    pub buckets: [AtomicU64; BUCKETS_MAX],
    pub sum_us: AtomicU64,
}

/// An answer that is over.
pub struct Line {
    pub listener: u32,
    pub is_head: bool,
    pub status: u32,
    pub outcome: Box<[u8]>,
    pub target: Vec<u8>,
    pub sequence: u64,
    pub sent_bytes: u64,
    pub time: Duration,
    pub remote: Option<IpAddr>,
    pub is_complete: bool,
}

#[derive(Default)]
struct Lines {
    waiting: Vec<Line>,
    bytes: usize,
}

pub struct Uses {
    pages: Mutex<VecDeque<Arc<PageUse>>>,
    lines: Mutex<Lines>,
    pub dropped_count: AtomicU64,
    time_bounds: Box<[Duration]>,
    pub is_logged: bool,
}

impl Uses {
    /// Times are counted by these bounds, of which there are fewer than `BUCKETS_MAX`.
    pub fn new(time_bounds: Vec<Duration>, is_logged: bool) -> Self {
        Self {
            pages: Mutex::default(),
            lines: Mutex::default(),
            dropped_count: AtomicU64::new(0),
            time_bounds: time_bounds.into_iter().take(BUCKETS_MAX - 1).collect(),
            is_logged,
        }
    }

    pub fn count_page(&self, page: &Arc<PageUse>) {
        if page.count.fetch_add(1, Ordering::Relaxed) > 0 {
            return;
        }
        let mut pages = locked(&self.pages);
        if pages.len() < PAGES_MAX {
            pages.push_back(Arc::clone(page));
        } else {
            page.count.store(0, Ordering::Relaxed);
            self.dropped_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// At most so many pages that were used, and how often each was.
    pub fn take_pages(&self, count_max: usize) -> Vec<(Arc<PageUse>, u32)> {
        let mut pages = locked(&self.pages);
        let count = count_max.min(pages.len());
        let taken = pages.drain(..count);
        taken
            .map(|page| {
                let count = page.count.swap(0, Ordering::Relaxed);
                (page, count)
            })
            .collect()
    }

    pub fn count_call(&self, counts: &Counts, kind: AnswerKind, time: Duration, is_complete: bool) {
        let call = &counts.calls[kind as usize][usize::from(!is_complete)];
        let bucket = self.time_bounds.partition_point(|bound| *bound < time);
        call.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let us = time.as_micros() as u64;
        call.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub fn log(&self, line: Line) {
        let mut lines = locked(&self.lines);
        let bytes = lines.bytes + LINE_COST_BYTES + line.target.len();
        if bytes > LINES_MAX_BYTES {
            self.dropped_count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        lines.bytes = bytes;
        lines.waiting.push(line);
    }

    pub fn take_lines(&self) -> Vec<Line> {
        std::mem::take(&mut *locked(&self.lines)).waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_of_a_page_are_added_up_and_what_finds_no_room_is_counted() {
        let uses = Uses::new(Vec::new(), false);
        let pages: Vec<_> = (0..PAGES_MAX as u64 + 2)
            .map(|index| Arc::new(PageUse::new([1, 2, 3], index, 10)))
            .collect();
        for page in pages.iter().chain(&pages[..5]) {
            uses.count_page(page);
        }
        assert_eq!(uses.dropped_count.load(Ordering::Relaxed), 2);
        let taken = uses.take_pages(6);
        let counts: Vec<_> = taken
            .iter()
            .map(|(page, count)| (page.index, *count))
            .collect();
        assert_eq!(counts, [(0, 2), (1, 2), (2, 2), (3, 2), (4, 2), (5, 1)]);
        uses.count_page(&pages[PAGES_MAX]);
        assert_eq!(uses.take_pages(PAGES_MAX * 2).len(), PAGES_MAX - 5);
    }

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_it_fits() {
        let ms = Duration::from_millis;
        let uses = Uses::new(vec![ms(1), ms(5)], false);
        let counts = Counts::default();
        for time in [0, 1, 2, 5, 6, 100] {
            uses.count_call(&counts, AnswerKind::Range, ms(time), true);
        }
        uses.count_call(&counts, AnswerKind::Range, ms(1), false);
        let [complete, broken] = &counts.calls[AnswerKind::Range as usize];
        let of = |call: &CallCounts| {
            [0, 1, 2].map(|bucket: usize| call.buckets[bucket].load(Ordering::Relaxed))
        };
        assert_eq!((of(complete), of(broken)), ([2, 2, 2], [1, 0, 0]));
        assert_eq!(complete.sum_us.load(Ordering::Relaxed), 114_000);
    }

    #[test]
    fn lines_that_nobody_fetches_take_no_more_than_their_room() {
        let uses = Uses::new(Vec::new(), true);
        for sequence in 0..5000 {
            uses.log(Line {
                listener: 0,
                is_head: false,
                status: 200,
                outcome: Box::default(),
                target: vec![b'/'; 16_000],
                sequence,
                sent_bytes: 1,
                time: Duration::ZERO,
                remote: None,
                is_complete: true,
            });
        }
        let count = uses.take_lines().len();
        assert_eq!(count, LINES_MAX_BYTES / (16_000 + LINE_COST_BYTES));
        assert_eq!(
            uses.dropped_count.load(Ordering::Relaxed),
            5000 - count as u64
        );
        assert!(uses.take_lines().is_empty());
    }
}
