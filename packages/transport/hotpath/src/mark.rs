//! The marks by which workers of a cluster know each other's requests: the same as in packages/common/src/protocol/peer-mark.ts.

use hmac_sha256::HMAC;

use crate::request::number_of;

pub const HEADER: &str = "x-alluxio-peer";
/// What only members of the cluster may ask for begins so.
const TARGET_PREFIX: &[u8] = b"/internal/peer/";
/// Clocks that differ by more make a mark that does not hold.
const AGE_MAX_MS: u64 = 300_000;
const TIME_DIGITS_MAX: usize = 16;
const DIGEST_BYTES: usize = 32;

/// Checks marks under one secret.
pub struct PeerMarks(Option<HMAC>);

impl PeerMarks {
    /// With an empty secret no mark holds.
    pub fn new(secret: &[u8]) -> Self {
        Self((!secret.is_empty()).then(|| HMAC::new(secret)))
    }

    /// Whether a request may be answered here: what is for members only with a mark that holds, anything else without one. `now_ms` is the wall clock.
    pub fn allow(&self, method: &str, target: &[u8], mark: Option<&[u8]>, now_ms: u64) -> bool {
        match (target.starts_with(TARGET_PREFIX), mark) {
            (false, None) => true,
            (true, Some(mark)) => self.holds(method, target, mark, now_ms) == Some(true),
            (true, None) | (false, Some(_)) => false,
        }
    }

    /// Undefined for what is no mark. TypeScript takes targets for text: one that is not ASCII it decides on.
    fn holds(&self, method: &str, target: &[u8], mark: &[u8], now_ms: u64) -> Option<bool> {
        let text = mark.strip_prefix(b"1 ")?;
        let space = text.iter().position(|byte| *byte == b' ')?;
        let (time, hex) = (&text[..space], &text[space + 1..]);
        let time_ms = number_of(time).filter(|_| time.len() <= TIME_DIGITS_MAX)?;
        let digest = digest_of(hex).filter(|_| target.is_ascii())?;
        let mut keyed = self.0.clone()?;
        for part in [method.as_bytes(), b"\n", target, b"\n", time] {
            keyed.update(part);
        }
        Some(keyed.finalize_verify(&digest) && now_ms.abs_diff(time_ms) <= AGE_MAX_MS)
    }
}

/// Of 64 digits, in lower case.
fn digest_of(hex: &[u8]) -> Option<[u8; DIGEST_BYTES]> {
    let mut digest = [0; DIGEST_BYTES];
    if hex.len() != 2 * DIGEST_BYTES {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.chunks(2)) {
        *byte = half_of(pair[0])? << 4 | half_of(pair[1])?;
    }
    Some(digest)
}

fn half_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"the secret of the cluster";
    const TARGET: &str = "/internal/peer/s3/b/k";
    const MADE_MS: u64 = 1_700_000_000_000;
    /// Of `makePeerMark`, for GET.
    const MARK: &str =
        "1 1700000000000 5ab89616b05ba0ae37ca972a9e6623386db458600857b5a17067e82968bf216f";

    fn allows(method: &str, target: &str, mark: Option<&str>, now_ms: u64) -> bool {
        let marks = PeerMarks::new(SECRET);
        marks.allow(method, target.as_bytes(), mark.map(str::as_bytes), now_ms)
    }

    #[test]
    fn a_mark_holds_for_its_method_target_and_time_alone() {
        assert!(allows("GET", TARGET, Some(MARK), MADE_MS));
        assert!(allows("GET", TARGET, Some(MARK), MADE_MS + AGE_MAX_MS));
        assert!(allows("GET", TARGET, Some(MARK), MADE_MS - AGE_MAX_MS));
        assert!(!allows("GET", TARGET, Some(MARK), MADE_MS + AGE_MAX_MS + 1));
        assert!(!allows("GET", TARGET, Some(MARK), MADE_MS - AGE_MAX_MS - 1));
        assert!(!allows("HEAD", TARGET, Some(MARK), MADE_MS));
        assert!(!allows("GET", "/internal/peer/s3/b/l", Some(MARK), MADE_MS));
        assert!(!PeerMarks::new(b"other").allow(
            "GET",
            TARGET.as_bytes(),
            Some(MARK.as_bytes()),
            MADE_MS
        ));
        assert!(!PeerMarks::new(b"").allow(
            "GET",
            TARGET.as_bytes(),
            Some(MARK.as_bytes()),
            MADE_MS
        ));
    }

    #[test]
    fn what_is_for_members_needs_a_mark_and_nothing_else_has_one() {
        assert!(!allows("GET", TARGET, None, MADE_MS));
        assert!(allows("GET", "/b/k", None, MADE_MS));
        assert!(!allows("GET", "/b/k", Some(MARK), MADE_MS));
    }

    #[test]
    fn what_is_no_mark_never_holds() {
        let upper = MARK.to_uppercase();
        let changed = MARK.replace("1700000000000", "1700000000001");
        let longer = format!("{MARK}0");
        for mark in ["", "1", "1 ", &MARK[2..], &upper, &changed, &longer] {
            assert!(!allows("GET", TARGET, Some(mark), MADE_MS), "{mark}");
        }
    }
}
