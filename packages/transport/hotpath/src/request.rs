//! Reads request heads: whether they are HTTP at all, what the table needs to know of them, and what TypeScript gets of the others.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use crate::body::Body;
use crate::mark;
use httparse::{Error, Header, Request, Status};

pub const HEAD_MAX_BYTES: usize = 16 * 1024;
pub const HEADERS_MAX: usize = 100;

/// Where the headers of one request go.
pub type HeaderRoom<'a> = [MaybeUninit<Header<'a>>; HEADERS_MAX];

pub const fn header_room<'a>() -> HeaderRoom<'a> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

pub enum Parsed<'a> {
    /// Not all of it has come.
    Partial,
    Invalid(&'static str),
    Whole(Head<'a>),
}

pub struct Head<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub headers: &'a [Header<'a>],
    pub head_bytes: usize,
    pub body: Body,
    pub persistence: Persistence,
    pub expects_continue: bool,
}

/// What becomes of a connection after the answer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Persistence {
    Kept,
    /// HTTP/1.0: kept only if the answer says so.
    KeptAndSaid,
    Closed,
}

impl Persistence {
    pub fn is_kept(self) -> bool {
        self != Self::Closed
    }

    /// The header line that says it.
    pub fn line(self) -> &'static [u8] {
        match self {
            Self::Kept => b"",
            Self::KeptAndSaid => b"connection: keep-alive\r\n",
            Self::Closed => b"connection: close\r\n",
        }
    }
}

pub const BAD_REQUEST: &str = "400 Bad Request";
pub const TOO_LARGE: &str = "431 Request Header Fields Too Large";
const EXPECTATION_FAILED: &str = "417 Expectation Failed";

pub fn parse<'a>(input: &'a [u8], headers: &'a mut HeaderRoom<'a>) -> Parsed<'a> {
    let mut request = Request::new(&mut []);
    let head_bytes = match request.parse_with_uninit_headers(input, headers) {
        Ok(Status::Complete(head_bytes)) if head_bytes <= HEAD_MAX_BYTES => head_bytes,
        Ok(Status::Partial) if input.len() < HEAD_MAX_BYTES => return Parsed::Partial,
        Ok(_) | Err(Error::TooManyHeaders) => return Parsed::Invalid(TOO_LARGE),
        Err(_) => return Parsed::Invalid(BAD_REQUEST),
    };
    let Request {
        method: Some(method),
        path: Some(target),
        version: Some(version),
        headers,
    } = request
    else {
        return Parsed::Invalid(BAD_REQUEST);
    };
    if has_bare_line_end(&input[..head_bytes]) || !is_target(target.as_bytes()) {
        return Parsed::Invalid(BAD_REQUEST);
    }
    let mut head = Head {
        method,
        target,
        headers,
        head_bytes,
        body: Body::NONE,
        persistence: Persistence::Closed,
        expects_continue: false,
    };
    let (mut asks_close, mut asks_keep) = (false, false);
    let mut length = None;
    let mut is_chunked = false;
    let mut host_count = 0;
    for header in head.headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("host") {
            host_count += 1;
        } else if is("content-length") {
            // One that comes twice could mean two things to two readers.
            match number_of(header.value) {
                Some(number) if length.is_none() => length = Some(number),
                _ => return Parsed::Invalid(BAD_REQUEST),
            }
        } else if is("transfer-encoding") {
            // HTTP/1.0 has none, and no other coding is ours.
            let is_known = version == 1 && header.value.eq_ignore_ascii_case(b"chunked");
            if is_chunked || !is_known {
                return Parsed::Invalid(BAD_REQUEST);
            }
            is_chunked = true;
        } else if is("connection") {
            asks_close |= contains_token(header.value, "close");
            asks_keep |= contains_token(header.value, "keep-alive");
        } else if is("expect") {
            // HTTP/1.0 knows no expectations.
            if version == 1 && !header.value.eq_ignore_ascii_case(b"100-continue") {
                return Parsed::Invalid(EXPECTATION_FAILED);
            }
            head.expects_continue = version == 1;
        }
    }
    if host_count > 1 || (version == 1 && host_count == 0) {
        return Parsed::Invalid(BAD_REQUEST);
    }
    head.persistence = match version {
        _ if asks_close => Persistence::Closed,
        1 => Persistence::Kept,
        _ if asks_keep => Persistence::KeptAndSaid,
        _ => Persistence::Closed,
    };
    head.body = match (is_chunked, length) {
        (true, Some(_)) => return Parsed::Invalid(BAD_REQUEST),
        (true, None) => Body::CHUNKED,
        (false, length) => Body::Sized(length.unwrap_or(0)),
    };
    Parsed::Whole(head)
}

/// httparse takes them for line ends; others take them for part of the line.
fn has_bare_line_end(head: &[u8]) -> bool {
    // Without a branch in the loop, so that many bytes are looked at in one step.
    let pairs = head.iter().zip(head.iter().skip(1));
    pairs.fold(head.first() == Some(&b'\n'), |is_bare, (before, byte)| {
        is_bare | ((*byte == b'\n') & (*before != b'\r'))
    })
}

/// A path, all of the server, or what is asked of a proxy.
fn is_target(target: &[u8]) -> bool {
    let authority = target
        .strip_prefix(b"http://")
        .or_else(|| target.strip_prefix(b"https://"))
        .and_then(|rest| rest.split(|byte| matches!(byte, b'/' | b'?')).next());
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    target.starts_with(b"/")
        || target == b"*"
        || authority.is_some_and(|host| !host.is_empty() && host.iter().all(is_host))
}

pub fn contains_token(value: &[u8], token: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

pub fn number_of(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What the table may answer.
pub struct FastRequest<'a> {
    /// The target without what cuts a piece out.
    pub key: Cow<'a, [u8]>,
    pub cut: Cut,
    pub is_head: bool,
    pub range: Option<&'a [u8]>,
    pub if_none_match: Option<&'a [u8]>,
    /// Another worker's.
    pub mark: Option<&'a [u8]>,
    pub persistence: Persistence,
}

/// Undefined for whatever somebody must decide on: any header beside those that `neutral` lists (in lower case) among them.
pub fn fast_request<'a>(head: &Head<'a>, neutral: &[String]) -> Option<FastRequest<'a>> {
    let is_head = head.method == "HEAD";
    if !(is_head || head.method == "GET") || !head.body.is_over() {
        return None;
    }
    let (key, cut) = cut_of(head.target.as_bytes())?;
    let mut request = FastRequest {
        key,
        cut,
        is_head,
        range: None,
        if_none_match: None,
        mark: None,
        persistence: head.persistence,
    };
    for header in head.headers {
        let field = if header.name.eq_ignore_ascii_case("range") {
            &mut request.range
        } else if header.name.eq_ignore_ascii_case("if-none-match") {
            &mut request.if_none_match
        } else if header.name.eq_ignore_ascii_case(mark::HEADER) {
            &mut request.mark
        } else if neutral
            .iter()
            .any(|name| header.name.eq_ignore_ascii_case(name))
        {
            continue;
        } else {
            return None;
        };
        if field.replace(header.value).is_some() {
            return None;
        }
    }
    Some(request)
}

/// The parameters of a query that cut a piece out of what the target names without them.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Cut {
    pub offset: Option<u64>,
    pub length: Option<u64>,
}

/// Nobody else takes a longer number for one either.
const CUT_DIGITS_MAX: usize = 15;

/// The target without `offset=` and `length=`, and what they say; undefined when one of them comes twice or is no number.
pub fn cut_of(target: &[u8]) -> Option<(Cow<'_, [u8]>, Cut)> {
    let mut cut = Cut::default();
    let Some(question_mark) = target.iter().position(|byte| *byte == b'?') else {
        return Some((target.into(), cut));
    };
    let mut key = Vec::with_capacity(target.len());
    key.extend_from_slice(&target[..question_mark]);
    let mut separator = b'?';
    for part in target[question_mark + 1..].split(|byte| *byte == b'&') {
        let (field, digits) = if let Some(digits) = part.strip_prefix(b"offset=") {
            (&mut cut.offset, digits)
        } else if let Some(digits) = part.strip_prefix(b"length=") {
            (&mut cut.length, digits)
        } else {
            key.push(std::mem::replace(&mut separator, b'&'));
            key.extend_from_slice(part);
            continue;
        };
        let number = number_of(digits).filter(|_| digits.len() <= CUT_DIGITS_MAX)?;
        if field.replace(number).is_some() {
            return None;
        }
    }
    Some((key.into(), cut))
}

/// What of a request means something to the owner of a file: the same as in `peer-relay.ts`.
const RELAYED_HEADERS: [&str; 6] = [
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
];

/// Appends the lines that the owner gets; false, with `out` in any state, for what somebody must decide on, as with `fast_request`.
pub fn relayed_lines(head: &Head, neutral: &[String], out: &mut Vec<u8>) -> bool {
    if !(head.method == "HEAD" || head.method == "GET")
        || head.body != Body::Sized(0)
        || head.persistence != Persistence::Kept
    {
        return false;
    }
    let mut seen = [false; RELAYED_HEADERS.len()];
    for header in head.headers {
        let is = |name: &&str| header.name.eq_ignore_ascii_case(name);
        if let Some(place) = RELAYED_HEADERS.iter().position(&is) {
            if std::mem::replace(&mut seen[place], true) {
                return false;
            }
            out.extend_from_slice(header.name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(header.value);
            out.extend_from_slice(b"\r\n");
        } else if !neutral.iter().any(|name| is(&name.as_str())) {
            return false;
        }
    }
    true
}

/// Bytes [from, to) of a file that is not empty, and whether they answer a range. Undefined for whatever is not one range with a byte in the file.
pub fn range_of(value: Option<&[u8]>, size: u64) -> Option<(u64, u64, bool)> {
    let Some(value) = value else {
        return Some((0, size, false));
    };
    let pair = value.strip_prefix(b"bytes=")?;
    let dash = pair.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&pair[..dash], &pair[dash + 1..]);
    let (from, to) = if first.is_empty() {
        (size.saturating_sub(number_of(last)?), size)
    } else if last.is_empty() {
        (number_of(first)?, size)
    } else {
        (
            number_of(first)?,
            number_of(last)?.checked_add(1)?.min(size),
        )
    };
    (from < to).then_some((from, to, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fast(text: &str) -> Option<(bool, Persistence)> {
        let mut headers = header_room();
        let Parsed::Whole(head) = parse(text.as_bytes(), &mut headers) else {
            panic!("{text}");
        };
        let neutral = ["host".to_owned(), "connection".to_owned()];
        fast_request(&head, &neutral).map(|request| (request.range.is_some(), request.persistence))
    }

    #[test]
    fn one_range_with_a_byte_in_the_file_is_understood_and_no_other() {
        let range = |text: &str| range_of(Some(text.as_bytes()), 100);
        assert_eq!(range_of(None, 100), Some((0, 100, false)));
        assert_eq!(range("bytes=0-9"), Some((0, 10, true)));
        assert_eq!(range("bytes=90-"), Some((90, 100, true)));
        assert_eq!(range("bytes=90-1000"), Some((90, 100, true)));
        assert_eq!(range("bytes=-5"), Some((95, 100, true)));
        assert_eq!(range("bytes=-500"), Some((0, 100, true)));
        let others = [
            "bytes=100-",
            "bytes=-0",
            "bytes=9-5",
            "bytes=1-2,4-5",
            "bytes=-",
            "items=1-2",
        ];
        for other in others.iter().chain(&[
            "bytes= 1-2",
            "bytes=+1-2",
            "bytes=1-18446744073709551615",
            "",
        ]) {
            assert_eq!(range(other), None, "{other}");
        }
    }

    #[test]
    fn parameters_that_cut_are_taken_out_wherever_they_stand() {
        let read = |target: &str| {
            let (key, cut) = cut_of(target.as_bytes())?;
            let key = String::from_utf8(key.into_owned()).unwrap();
            Some((key, cut.offset, cut.length))
        };
        let cases = [
            ("/a", "/a", None, None),
            ("/a?offset=1&length=22", "/a", Some(1), Some(22)),
            (
                "/a?length=0&p=s3://b/k&offset=7",
                "/a?p=s3://b/k",
                Some(7),
                Some(0),
            ),
            ("/a?p=1&q=2", "/a?p=1&q=2", None, None),
            ("/a?p=1&&offset=3", "/a?p=1&", Some(3), None),
            (
                "/a?xoffset=3&Offset=4&offset",
                "/a?xoffset=3&Offset=4&offset",
                None,
                None,
            ),
            ("/a?", "/a?", None, None),
        ];
        for (target, key, offset, length) in cases {
            assert_eq!(
                read(target),
                Some((key.to_owned(), offset, length)),
                "{target}"
            );
        }
        for odd in [
            "/a?offset=1&offset=1",
            "/a?offset=",
            "/a?offset=-1",
            "/a?length=1e3",
            "/a?length=%31",
            "/a?offset=1000000000000000",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn only_plain_reads_are_for_the_table() {
        assert_eq!(
            fast("GET /a HTTP/1.1\r\nhost: h\r\nRange: bytes=1-2\r\n\r\n"),
            Some((true, Persistence::Kept))
        );
        for head in [
            "PUT /a HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: h\r\nx-unknown: 1\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: h\r\nrange: bytes=1-2\r\nrange: bytes=1-2\r\n\r\n",
        ] {
            assert_eq!(fast(head), None, "{head}");
        }
    }

    #[test]
    fn what_httparse_takes_and_others_do_not_is_refused() {
        for text in [
            "GET /a HTTP/1.1\nhost: h\r\n\r\n",
            "\nGET /a HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: h\n\r\n",
            "GET /a HTTP/1.1\r\nhost: h\r\n\n",
            "GET \"a HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET *a HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET http://h\"a HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET http\"://h/ HTTP/1.1\r\nhost: h\r\n\r\n",
        ] {
            let mut headers = header_room();
            let parsed = parse(text.as_bytes(), &mut headers);
            assert!(matches!(parsed, Parsed::Invalid(BAD_REQUEST)), "{text:?}");
        }
    }

    #[test]
    fn a_connection_is_kept_as_version_and_header_say() {
        let kept = |version: &str, connection: &str| {
            let text = format!("GET /a HTTP/{version}\r\nhost: h\r\n{connection}\r\n");
            fast(&text).map(|(_, persistence)| persistence)
        };
        assert_eq!(kept("1.1", ""), Some(Persistence::Kept));
        assert_eq!(kept("1.0", ""), Some(Persistence::Closed));
        let (close, keep) = ("Connection: x, Close\r\n", "connection: Keep-Alive\r\n");
        assert_eq!(kept("1.1", close), Some(Persistence::Closed));
        assert_eq!(kept("1.1", keep), Some(Persistence::Kept));
        assert_eq!(kept("1.0", keep), Some(Persistence::KeptAndSaid));
        assert_eq!(
            kept("1.0", &format!("{keep}{close}")),
            Some(Persistence::Closed)
        );
    }
}
