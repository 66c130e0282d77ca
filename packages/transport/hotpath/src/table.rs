//! The answers that need nobody's decision: what TypeScript answered for a raw request target, kept while it is fresh, as a head
//! made ready and the places of the pages. A bounded cache: the least used go first (CLOCK), and whatever is not here goes up.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::page::{Extent, Page};
use crate::request::Cut;
use crate::segment::Segment;
use crate::uses::PageUse;

/// Names one version of one file, as TypeScript's page ids do.
pub type FileKey = [u32; 3];

/// So many pages an answer may span; longer ones go up.
const EXTENTS_MAX: u64 = 1024;
/// Whoever was to renew an entry and did not is followed by another after this time.
const RENEWAL_RETRY: Duration = Duration::from_secs(5);
const PRUNE_MIN: usize = 64;
/// What an entry and a page of it take beside their texts.
const ENTRY_COST_BYTES: usize = 400;
const PAGE_COST_BYTES: usize = 320;

/// An open segment and the pages that entries have in it, by their offset.
struct KnownSegment {
    segment: Arc<Segment>,
    pages: BTreeMap<u64, Weak<Page>>,
    /// With so many, those that no entry has any more are taken out.
    prune_at: usize,
}

struct EntryPage {
    /// Of the segment.
    path: Arc<str>,
    page: Arc<Page>,
}

pub struct Entry {
    pub file: FileKey,
    pub size: u64,
    pub page_size: u64,
    pub fresh_until: Instant,
    /// From then on whoever uses the entry has it made anew before it runs out.
    renew_at: Instant,
    /// Header lines of every answer, of those to GET that have a body, and the name of the line with the request's id; each with its line end.
    pub headers: Box<[u8]>,
    pub body_headers: Box<[u8]>,
    pub request_id_header: Box<[u8]>,
    pub etag: Arc<[u8]>,
    /// The target names these bytes of the file, and parameters of its query cut pieces out of them; else it names the file, and a header does.
    pub window: Option<Window>,
    pages: BTreeMap<u64, EntryPage>,
}

/// Bytes [from, to) of a file.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Window {
    pub from: u64,
    pub to: u64,
}

impl Window {
    /// What is cut out of it; undefined when that is nothing.
    pub fn piece(self, cut: Cut) -> Option<(u64, u64)> {
        let from = self.from.checked_add(cut.offset.unwrap_or(0))?;
        let to = match cut.length {
            Some(length) => from.checked_add(length)?.min(self.to),
            None => self.to,
        };
        (from < to).then_some((from, to))
    }
}

/// A page of an entry as TypeScript describes it.
pub struct PagePlace {
    pub index: u64,
    pub path: String,
    pub offset: u64,
    pub length: u64,
    pub checksums: Vec<u32>,
}

impl Entry {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        file: FileKey,
        size: u64,
        page_size: u64,
        fresh_until: Instant,
        renew_at: Instant,
        headers: Vec<u8>,
        body_headers: Vec<u8>,
        request_id_header: Vec<u8>,
        etag: Vec<u8>,
        window: Option<Window>,
    ) -> Self {
        Self {
            file,
            size,
            page_size,
            fresh_until,
            renew_at,
            headers: headers.into(),
            body_headers: body_headers.into(),
            request_id_header: request_id_header.into(),
            etag: etag.into(),
            window,
            pages: BTreeMap::new(),
        }
    }

    /// Whether the caller is to have the entry made anew. Whoever asks meanwhile is not.
    pub fn claim_renewal(&mut self, now: Instant) -> bool {
        let is_due = self.renew_at <= now;
        if is_due {
            self.renew_at = now + RENEWAL_RETRY;
        }
        is_due
    }

    /// Where bytes [from, to) lie; false, with `extents` in any state, when not all of them are known.
    pub fn locate(&self, from: u64, to: u64, extents: &mut Vec<Extent>) -> bool {
        if (to - from) / self.page_size > EXTENTS_MAX {
            return false;
        }
        let mut at = from;
        while at < to {
            let index = at / self.page_size;
            let Some(EntryPage { page, .. }) = self.pages.get(&index) else {
                return false;
            };
            let in_page = at - index * self.page_size;
            let length = (to - at).min(page.length().saturating_sub(in_page));
            if length == 0 {
                return false;
            }
            extents.push(Extent {
                page: Arc::clone(page),
                from: in_page,
                length,
            });
            at += length;
        }
        true
    }

    fn cost(&self) -> usize {
        ENTRY_COST_BYTES
            + self.headers.len()
            + self.body_headers.len()
            + self.etag.len()
            + self
                .pages
                .values()
                .map(|one| PAGE_COST_BYTES + one.page.cost())
                .sum::<usize>()
    }
}

struct Slot {
    listener: u32,
    target: Box<[u8]>,
    entry: Entry,
    cost: usize,
    is_used: bool,
}

pub struct Table {
    bytes_max: usize,
    bytes: usize,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    hand: usize,
    /// One map a listener, so that a look-up needs no key of its own.
    by_target: Vec<HashMap<Box<[u8]>, usize>>,
    by_file: HashMap<FileKey, Vec<usize>>,
    segments: HashMap<Arc<str>, KnownSegment>,
}

impl Table {
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            by_target: Vec::new(),
            by_file: HashMap::new(),
            segments: HashMap::new(),
        }
    }

    /// The entry of a target, if it is still fresh.
    pub fn find(&mut self, listener: u32, target: &[u8], now: Instant) -> Option<&mut Entry> {
        let slot = *self.by_target.get(listener as usize)?.get(target)?;
        let found = self.slots[slot].as_mut()?;
        // What is no longer fresh stays for its pages, until it is put anew or its room is needed.
        if found.entry.fresh_until <= now {
            return None;
        }
        found.is_used = true;
        Some(&mut found.entry)
    }

    /// Takes in what is known of a target now. Pages of the same version that were known before stay known; those of another never meet them.
    /// A page whose segment cannot be opened is left out.
    pub fn put(&mut self, listener: u32, target: &[u8], mut entry: Entry, places: Vec<PagePlace>) {
        let before = self
            .by_target
            .get(listener as usize)
            .and_then(|targets| targets.get(target))
            .copied();
        if let Some(slot) = before.and_then(|slot| self.remove(slot)) {
            if slot.entry.file == entry.file {
                entry.pages = slot.entry.pages;
            }
        }
        for place in places {
            let index = place.index;
            if let Some(page) = self.page_of(entry.file, place) {
                entry.pages.insert(index, page);
            }
        }
        let cost = entry.cost() + 2 * target.len();
        if entry.pages.is_empty() || cost > self.bytes_max {
            return;
        }
        self.make_room(cost);
        self.insert(Slot {
            listener,
            target: target.into(),
            entry,
            cost,
            is_used: false,
        });
    }

    /// Forgets every answer of this version of a file.
    pub fn drop_file(&mut self, file: FileKey) {
        for slot in self.by_file.get(&file).cloned().unwrap_or_default() {
            self.remove(slot);
        }
    }

    /// Forgets every answer that reads from this segment, and gives up its descriptor.
    pub fn drop_segment(&mut self, path: &str) {
        for slot in 0..self.slots.len() {
            let Some(held) = &self.slots[slot] else {
                continue;
            };
            if held.entry.pages.values().any(|page| &*page.path == path) {
                self.remove(slot);
            }
        }
        self.segments.remove(path);
    }

    /// Somebody is about to read bytes [offset, offset + length) of this segment: what comes from the disk then is not what was checked.
    pub fn forget_checks(&self, path: &str, offset: u64, length: u64) {
        let Some(segment) = self.segments.get(path) else {
            return;
        };
        // Pages do not overlap: only the last one that begins before may reach into it.
        let before = segment.pages.range(..offset).next_back();
        let within = segment.pages.range(offset..offset + length);
        for (_, page) in before.into_iter().chain(within) {
            if let Some(page) = page.upgrade() {
                page.forget(offset, length);
            }
        }
    }

    pub fn drop_all(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    pub fn entry_count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The page at this place: the one that other entries have, where they do, with what is known of its blocks.
    fn page_of(&mut self, of: FileKey, place: PagePlace) -> Option<EntryPage> {
        if !self.segments.contains_key(place.path.as_str()) {
            let segment = KnownSegment {
                segment: Arc::new(Segment::open(&place.path)?),
                pages: BTreeMap::new(),
                prune_at: PRUNE_MIN,
            };
            self.segments.insert(place.path.as_str().into(), segment);
        }
        let (path, _) = self.segments.get_key_value(place.path.as_str())?;
        let path = Arc::clone(path);
        let KnownSegment {
            segment,
            pages,
            prune_at,
        } = self.segments.get_mut(&path)?;
        let known = pages.get(&place.offset).and_then(Weak::upgrade);
        let page = match known.filter(|page| page.length() == place.length) {
            Some(page) => page,
            None => {
                let made = Page::new(
                    Arc::clone(segment),
                    place.offset,
                    &place.checksums,
                    PageUse::new(of, place.index, place.length),
                );
                let page = Arc::new(made?);
                if pages.len() >= *prune_at {
                    pages.retain(|_, page| page.strong_count() > 0);
                    *prune_at = PRUNE_MIN.max(2 * pages.len());
                }
                pages.insert(place.offset, Arc::downgrade(&page));
                page
            }
        };
        Some(EntryPage { path, page })
    }

    fn insert(&mut self, slot: Slot) {
        let listener = slot.listener as usize;
        let (target, file) = (slot.target.clone(), slot.entry.file);
        self.bytes += slot.cost;
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at] = Some(slot);
                at
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() - 1
            }
        };
        if self.by_target.len() <= listener {
            self.by_target.resize_with(listener + 1, HashMap::new);
        }
        self.by_target[listener].insert(target, at);
        self.by_file.entry(file).or_default().push(at);
    }

    fn remove(&mut self, at: usize) -> Option<Slot> {
        let slot = self.slots[at].take()?;
        self.free.push(at);
        self.bytes -= slot.cost;
        self.by_target[slot.listener as usize].remove(&slot.target);
        if let Some(slots) = self.by_file.get_mut(&slot.entry.file) {
            slots.retain(|other| *other != at);
            if slots.is_empty() {
                self.by_file.remove(&slot.entry.file);
            }
        }
        Some(slot)
    }

    /// Each entry that was used since the hand came by last gets another round.
    fn make_room(&mut self, cost: usize) {
        while self.bytes + cost > self.bytes_max && self.entry_count() > 0 {
            self.hand = (self.hand + 1) % self.slots.len();
            let is_spared = match &mut self.slots[self.hand] {
                Some(slot) => std::mem::take(&mut slot.is_used),
                None => true,
            };
            if !is_spared {
                self.remove(self.hand);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PAGE: u64 = 4096;

    fn entry(file: FileKey) -> Entry {
        let fresh_until = Instant::now() + Duration::from_secs(60);
        let text = Vec::new;
        Entry::new(
            file,
            4 * PAGE,
            PAGE,
            fresh_until,
            fresh_until - Duration::from_secs(10),
            text(),
            text(),
            text(),
            text(),
            None,
        )
    }

    fn place(index: u64, path: &str) -> PagePlace {
        let path = path.to_owned();
        PagePlace {
            index,
            path,
            offset: index * 100_000,
            length: PAGE,
            checksums: vec![0],
        }
    }

    fn is_there(table: &mut Table, target: &[u8], from: u64, to: u64) -> bool {
        let found = table.find(0, target, Instant::now());
        found.is_some_and(|entry| entry.locate(from, to, &mut Vec::new()))
    }

    const SEGMENT: &str = "/dev/zero";
    const OTHER: &str = "/dev/null";

    #[test]
    fn pages_of_one_version_come_together_and_never_with_those_of_another() {
        let mut table = Table::new(1 << 20);
        table.put(0, b"/a", entry([1, 1, 1]), vec![place(0, SEGMENT)]);
        assert!(is_there(&mut table, b"/a", 0, PAGE));
        assert!(!is_there(&mut table, b"/a", 0, PAGE + 1));
        table.put(0, b"/a", entry([1, 1, 1]), vec![place(1, OTHER)]);
        let mut extents = Vec::new();
        let found = table.find(0, b"/a", Instant::now()).unwrap();
        assert!(found.locate(10, 2 * PAGE, &mut extents));
        let places: Vec<_> = extents
            .iter()
            .map(|one| (one.offset(), one.length))
            .collect();
        assert_eq!(places, [(10, PAGE - 10), (100_000, PAGE)]);
        table.put(0, b"/a", entry([2, 2, 2]), vec![place(1, SEGMENT)]);
        assert!(!is_there(&mut table, b"/a", 0, PAGE));
        assert!(is_there(&mut table, b"/a", PAGE, 2 * PAGE));
        assert!(table.find(1, b"/a", Instant::now()).is_none());
    }

    #[test]
    fn an_entry_goes_with_its_freshness_its_file_its_segment_and_all() {
        let mut table = Table::new(1 << 20);
        let fill = |table: &mut Table| {
            table.put(0, b"/a", entry([1, 1, 1]), vec![place(0, SEGMENT)]);
            table.put(0, b"/b", entry([2, 2, 2]), vec![place(0, OTHER)]);
        };
        fill(&mut table);
        assert!(table
            .find(0, b"/a", Instant::now() + Duration::from_secs(61))
            .is_none());
        table.drop_file([1, 1, 1]);
        assert!(!is_there(&mut table, b"/a", 0, PAGE));
        assert!(is_there(&mut table, b"/b", 0, PAGE));
        fill(&mut table);
        table.drop_segment(OTHER);
        assert!(is_there(&mut table, b"/a", 0, PAGE));
        assert!(!is_there(&mut table, b"/b", 0, PAGE));
        table.drop_all();
        assert!(!is_there(&mut table, b"/a", 0, PAGE));
        assert_eq!(
            (table.bytes, table.entry_count(), table.segments.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_piece_lies_within_its_window() {
        let window = Window { from: 100, to: 110 };
        let piece = |offset, length| window.piece(Cut { offset, length });
        assert_eq!(piece(None, None), Some((100, 110)));
        assert_eq!(piece(Some(4), None), Some((104, 110)));
        assert_eq!(piece(Some(4), Some(3)), Some((104, 107)));
        assert_eq!(piece(None, Some(1000)), Some((100, 110)));
        assert_eq!(piece(Some(10), None), None);
        assert_eq!(piece(Some(0), Some(0)), None);
        assert_eq!(piece(Some(u64::MAX), Some(1)), None);
    }

    #[test]
    fn one_request_at_a_time_renews_an_entry_that_is_about_to_run_out() {
        let mut table = Table::new(1 << 20);
        let start = Instant::now();
        table.put(0, b"/a", entry([1, 1, 1]), vec![place(0, SEGMENT)]);
        let mut claims = |seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            table
                .find(0, b"/a", now)
                .map(|entry| entry.claim_renewal(now))
        };
        let after = [0, 49, 51, 52, 55, 57, 61].map(&mut claims);
        let (no, yes) = (Some(false), Some(true));
        assert_eq!(after, [no, no, yes, no, no, yes, None]);
        table.put(0, b"/a", entry([1, 1, 1]), vec![]);
        let now = start + Duration::from_secs(30);
        assert!(!table.find(0, b"/a", now).unwrap().claim_renewal(now));
        assert!(is_there(&mut table, b"/a", 0, PAGE));
    }

    #[test]
    fn the_bound_holds_and_what_is_used_stays() {
        let mut table = Table::new(24 * ENTRY_COST_BYTES);
        table.put(0, b"/hot", entry([9, 9, 9]), vec![place(0, SEGMENT)]);
        for index in 0..200_u32 {
            assert!(is_there(&mut table, b"/hot", 0, PAGE), "{index}");
            let target = format!("/{index}").into_bytes();
            table.put(0, &target, entry([index, 0, 0]), vec![place(0, SEGMENT)]);
            assert!(table.bytes <= table.bytes_max);
        }
        assert!(table.entry_count() > 10);
    }

    #[test]
    fn a_segment_that_cannot_be_opened_is_not_known() {
        let mut table = Table::new(1 << 20);
        table.put(0, b"/a", entry([1, 1, 1]), vec![place(0, "/there/is/none")]);
        assert_eq!(table.entry_count(), 0);
    }
}
