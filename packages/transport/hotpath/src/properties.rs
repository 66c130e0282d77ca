//! What holds for any bytes that a client or another worker may send: what the fuzz targets (`fuzz/`) try to break, and `cargo test` with their seeds.

use httparse::{Response, Status, EMPTY_HEADER};

use crate::body::{Body, Broken};
use crate::request::{
    fast_request, header_room, parse, range_of, relayed_lines, Head, Parsed, HEADERS_MAX,
    HEAD_MAX_BYTES,
};
use crate::upstream::{read_answer, PeerAnswer};

/// The head of a request: more is asked for until it is whole, what comes behind it changes nothing, and it is framed in one way only.
pub fn request_head(input: &[u8]) {
    let mut headers = header_room();
    let Parsed::Whole(head) = parse(input, &mut headers) else {
        return;
    };
    let bytes = &input[..head.head_bytes];
    assert!(bytes.len() <= HEAD_MAX_BYTES);
    check_framing(bytes, &head);
    check_uses(&head);
    for cut in [bytes.len() / 2, bytes.len() - 1] {
        let mut headers = header_room();
        let parsed = parse(&bytes[..cut], &mut headers);
        assert!(matches!(parsed, Parsed::Partial), "{cut} bytes were enough");
    }
    let longer = [bytes, b"\0 of somebody else"].concat();
    let mut headers = header_room();
    let Parsed::Whole(again) = parse(&longer, &mut headers) else {
        panic!("what comes behind a head spoiled it");
    };
    assert_eq!(again.head_bytes, head.head_bytes);
    assert_eq!(again.body, head.body);
}

/// Reads the lines once more, as simply as can be.
fn check_framing(bytes: &[u8], head: &Head) {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let whole = text.trim_start_matches("\r\n");
    let lines = whole
        .strip_suffix("\r\n\r\n")
        .expect("a head ends with an empty line");
    assert!(!lines.replace("\r\n", "").contains(['\r', '\n', '\0']));
    let mut lines = lines.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let latin = |text: &str| text.bytes().map(char::from).collect::<String>();
    let version = first
        .strip_prefix(&format!("{} {} ", head.method, latin(head.target)))
        .expect("method, target and version make the first line");
    let fields: Vec<(String, &str)> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').expect("a header has a colon");
            assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()));
            (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']))
        })
        .collect();
    let values = |wanted: &str| -> Vec<&str> {
        let named = fields.iter().filter(|(name, _)| name == wanted);
        named.map(|(_, value)| *value).collect()
    };
    let hosts = values("host").len();
    assert!(hosts == 1 || (version == "HTTP/1.0" && hosts == 0));
    let framing = (values("content-length"), values("transfer-encoding"));
    let expected = match (&framing.0[..], &framing.1[..]) {
        ([], []) => Body::Sized(0),
        ([length], []) => Body::Sized(length.parse().expect("a length is a number")),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Body::CHUNKED,
        _ => panic!("framed in two ways: {framing:?}"),
    };
    assert_eq!(head.body, expected);
}

/// What is made of the head: ranges within the file, and lines for another worker that are the client's own.
fn check_uses(head: &Head) {
    let neutral = ["host", "connection", "x-a"].map(str::to_owned);
    if let Some(fast) = fast_request(head, &neutral) {
        for size in [1, 100, u64::MAX] {
            if let Some((from, to, _)) = range_of(fast.range, size) {
                assert!(from < to && to <= size);
            }
        }
    }
    let mut lines = Vec::new();
    if !relayed_lines(head, &neutral, &mut lines) {
        return;
    }
    lines.extend_from_slice(b"\r\n");
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let Ok(Status::Complete((used, passed))) = httparse::parse_headers(&lines, &mut headers) else {
        panic!("the lines for another worker are no headers");
    };
    assert_eq!(used, lines.len());
    for header in passed {
        let is_its = |own: &&httparse::Header| own.name == header.name && own.value == header.value;
        assert!(head.headers.iter().any(|own| is_its(&own)));
    }
}

/// A chunked body, behind a byte that says in what pieces it comes: the same in one piece, and the same as a simple reader has it.
pub fn chunked_body(input: &[u8]) {
    let Some((cut, text)) = input.split_first() else {
        return;
    };
    let whole = read_chunked(text, text.len().max(1));
    assert_eq!(whole, read_chunked(text, usize::from(*cut) + 1));
    if let Ok(Some((content, used))) = whole {
        assert_eq!((content, used), read_simply(text));
    }
    let mut sized = Body::Sized(u64::from(*cut));
    let (piece, used) = sized.take(text).expect("a length breaks nothing");
    assert_eq!(piece, text[..used]);
    assert!(used <= usize::from(*cut));
}

/// The content and how many bytes it took, with its framing; nothing while it is not over.
fn read_chunked(text: &[u8], piece_length: usize) -> Result<Option<(Vec<u8>, usize)>, Broken> {
    let mut body = Body::CHUNKED;
    let (mut content, mut input, mut taken) = (Vec::new(), Vec::new(), 0);
    let mut pieces = text.chunks(piece_length);
    while !body.is_over() {
        let (piece, used) = body.take(&input)?;
        content.extend_from_slice(&piece);
        input.drain(..used);
        taken += used;
        if used > 0 {
            continue;
        }
        match pieces.next() {
            Some(more) => input.extend_from_slice(more),
            None => return Ok(None),
        }
    }
    Ok(Some((content, taken)))
}

/// Only of a body that is whole and sound.
fn read_simply(text: &[u8]) -> (Vec<u8>, usize) {
    let line_at = |at: usize| {
        let length = text[at..].windows(2).position(|pair| pair == b"\r\n");
        let end = at + length.expect("a line ends");
        (&text[at..end], end + 2)
    };
    let mut content = Vec::new();
    let (mut line, mut at) = line_at(0);
    loop {
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).expect("a size is text");
        let size = usize::from_str_radix(digits, 16).expect("a size is a number");
        if size == 0 {
            break;
        }
        content.extend_from_slice(&text[at..at + size]);
        assert_eq!(&text[at + size..at + size + 2], b"\r\n");
        (line, at) = line_at(at + size + 2);
    }
    while !line.is_empty() {
        (line, at) = line_at(at);
    }
    (content, at)
}

/// The head of an owner's answer, behind a byte that says whether it answers HEAD: what the client gets is one head, with the length of what is passed on and nothing of the owner's connection.
pub fn peer_answer(input: &[u8]) {
    let Some((first, text)) = input.split_first() else {
        return;
    };
    let is_head = first & 1 == 1;
    let mut out = Vec::new();
    let PeerAnswer::Whole(read) = read_answer(text, is_head, &mut out) else {
        return;
    };
    let shorter = read_answer(&text[..read.head_bytes - 1], is_head, &mut Vec::new());
    assert!(matches!(shorter, PeerAnswer::Partial));
    out.extend_from_slice(b"\r\n");
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    assert_eq!(response.parse(&out), Ok(Status::Complete(out.len())));
    let code = response.code.unwrap_or_default();
    assert!(matches!(code, 200 | 206 | 304));
    let values = |name: &str| -> Vec<&[u8]> {
        let headers = response.headers.iter();
        let named = headers.filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value).collect()
    };
    for name in [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "date",
        "x-amz-request-id",
        "x-request-id",
    ] {
        assert!(values(name).is_empty(), "{name} is the owner's");
    }
    let lengths = values("content-length");
    let length = lengths
        .first()
        .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    let expected = match (is_head, code) {
        (true, _) | (_, 304) => 0,
        _ => length.expect("a body has a length"),
    };
    assert!(lengths.len() <= 1);
    assert_eq!(read.body_bytes, expected);
    if let Some((to, _)) = read.rest {
        assert!(to >= read.body_bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The seeds, each of them cut short at every place, and with every byte another one.
    fn replay(target: &str, property: fn(&[u8])) {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let files = std::fs::read_dir(seeds.join(target)).unwrap();
        let seeds: Vec<_> = files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            property(&seed);
            for at in 0..seed.len() {
                property(&seed[..at]);
                for byte in *b"\0\r\n\t :;,0a\xff" {
                    let mut changed = seed.clone();
                    changed[at] = byte;
                    property(&changed);
                }
            }
        }
    }

    #[test]
    fn the_head_of_a_request_means_one_thing() {
        replay("request_head", super::request_head);
    }

    #[test]
    fn a_chunked_body_is_one_body() {
        replay("chunked_body", super::chunked_body);
    }

    #[test]
    fn the_head_of_an_owner_is_passed_on_as_one_head() {
        replay("peer_answer", super::peer_answer);
    }
}
