//! Makes the head of an answer from an entry of the table, and finds the bytes of its body.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::page::Extent;
use crate::request::{range_of, Cut, FastRequest, Persistence};
use crate::table::Entry;

/// What the counts tell apart.
#[derive(Clone, Copy)]
pub enum AnswerKind {
    Whole,
    Range,
    HeadWhole,
    HeadRange,
    NotModified,
    HeadNotModified,
    /// Of a target that names a part of a file.
    Piece,
    HeadPiece,
}

pub const ANSWER_KINDS: usize = 8;

impl AnswerKind {
    pub fn is_head(self) -> bool {
        matches!(
            self,
            Self::HeadWhole | Self::HeadRange | Self::HeadNotModified | Self::HeadPiece
        )
    }

    /// Whether bytes of the file went with it.
    fn has_body(self) -> bool {
        matches!(self, Self::Whole | Self::Range | Self::Piece)
    }

    pub fn outcome(self) -> &'static [u8] {
        if self.has_body() {
            b"hit"
        } else {
            b""
        }
    }

    pub fn status(self) -> u32 {
        match self {
            Self::Whole | Self::HeadWhole | Self::Piece | Self::HeadPiece => 200,
            Self::Range | Self::HeadRange => 206,
            Self::NotModified | Self::HeadNotModified => 304,
        }
    }
}

pub struct Prepared {
    pub kind: AnswerKind,
    pub body_bytes: u64,
    /// Of the file: one after the last byte.
    pub to: u64,
}

/// What changes from answer to answer.
pub struct Marks<'a> {
    pub date: &'a [u8],
    pub id_prefix: &'a str,
    pub sequence: u64,
}

/// Writes the head to `out` and the places of the body to `extents`; undefined, with both in any state, when the entry does not answer
/// this request.
pub fn prepare(
    entry: &Entry,
    request: &FastRequest,
    marks: &Marks,
    out: &mut Vec<u8>,
    extents: &mut Vec<Extent>,
) -> Option<Prepared> {
    // What cuts in one way is not looked at in the other.
    let is_understood = match entry.window {
        Some(_) => request.range.is_none() && request.if_none_match.is_none(),
        None => request.cut == Cut::default(),
    };
    if !is_understood {
        return None;
    }
    if let Some(tags) = request.if_none_match {
        if entry.etag.is_empty() || *tags != *entry.etag {
            return None;
        }
        out.extend_from_slice(b"HTTP/1.1 304 Not Modified\r\n");
        out.extend_from_slice(&entry.headers);
        finish(entry, request.persistence, marks, out);
        return Some(Prepared {
            kind: if request.is_head {
                AnswerKind::HeadNotModified
            } else {
                AnswerKind::NotModified
            },
            body_bytes: 0,
            to: 0,
        });
    }
    let (from, to, is_range) = match entry.window {
        Some(window) => {
            let (from, to) = window.piece(request.cut)?;
            (from, to, false)
        }
        None => range_of(request.range, entry.size)?,
    };
    if !request.is_head && !entry.locate(from, to, extents) {
        return None;
    }
    let status: &[u8] = if is_range {
        b"HTTP/1.1 206 Partial Content\r\n"
    } else {
        b"HTTP/1.1 200 OK\r\n"
    };
    out.extend_from_slice(status);
    out.extend_from_slice(&entry.headers);
    out.extend_from_slice(b"content-length: ");
    push_number(out, to - from);
    if is_range {
        out.extend_from_slice(b"\r\ncontent-range: bytes ");
        push_number(out, from);
        out.push(b'-');
        push_number(out, to - 1);
        out.push(b'/');
        push_number(out, entry.size);
    }
    out.extend_from_slice(b"\r\n");
    if !request.is_head {
        out.extend_from_slice(&entry.body_headers);
    }
    finish(entry, request.persistence, marks, out);
    let kind = match (request.is_head, is_range) {
        (false, _) if entry.window.is_some() => AnswerKind::Piece,
        (true, _) if entry.window.is_some() => AnswerKind::HeadPiece,
        (false, false) => AnswerKind::Whole,
        (false, true) => AnswerKind::Range,
        (true, false) => AnswerKind::HeadWhole,
        (true, true) => AnswerKind::HeadRange,
    };
    let body_bytes = if request.is_head { 0 } else { to - from };
    Some(Prepared {
        kind,
        body_bytes,
        to,
    })
}

fn finish(entry: &Entry, persistence: Persistence, marks: &Marks, out: &mut Vec<u8>) {
    out.extend_from_slice(persistence.line());
    out.extend_from_slice(&entry.request_id_header);
    push_id(out, marks.id_prefix, marks.sequence);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(marks.date);
    out.extend_from_slice(b"\r\n");
}

/// In decimal. `write!` takes several times as long.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The id of a request that is answered here: what tells it apart in at least eight hexadecimal digits.
pub fn push_id(out: &mut Vec<u8>, prefix: &str, sequence: u64) {
    out.extend_from_slice(prefix.as_bytes());
    out.push(b'h');
    let digit_count = (u64::BITS - sequence.leading_zeros()).div_ceil(4).max(8);
    for at in (0..digit_count).rev() {
        out.push(b"0123456789abcdef"[(sequence >> (4 * at) & 15) as usize]);
    }
}

/// How late the date may be.
const DATE_INTERVAL: Duration = Duration::from_millis(100);

/// The Date header line, made anew when the second changes.
pub struct DateLine {
    look_at: Instant,
    second: u64,
    /// The wall clock, in milliseconds since 1970.
    pub now_ms: u64,
    pub line: Vec<u8>,
}

impl DateLine {
    pub fn new() -> Self {
        Self {
            look_at: Instant::now(),
            second: 0,
            now_ms: 0,
            line: Vec::new(),
        }
    }

    pub fn refresh(&mut self, now: Instant) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + DATE_INTERVAL;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.now_ms = since.map_or(0, |since| since.as_millis() as u64);
        let second = self.now_ms / 1000;
        if second != self.second || self.line.is_empty() {
            self.second = second;
            self.line = format!("date: {}\r\n", http_date(second)).into_bytes();
        }
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(second: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let day = second / 86_400;
    // Days since 0000-03-01, so that the leap day is a year's last (Howard Hinnant's civil_from_days).
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    format!(
        "{}, {day_of_month:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[(day % 7) as usize],
        MONTHS[month as usize],
        second / 3600 % 24,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ids_are_as_their_formats_say() {
        for number in [0, 9, 10, 4096, u64::from(u32::MAX) + 1, u64::MAX] {
            let mut out = b"x".to_vec();
            push_number(&mut out, number);
            push_id(&mut out, "p", number);
            let expected = format!("x{number}ph{number:08x}");
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(http_date(4_102_444_799), "Thu, 31 Dec 2099 23:59:59 GMT");
    }
}
