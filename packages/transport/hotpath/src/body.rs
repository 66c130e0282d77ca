//! What is left of a request's body, and how it is framed. Strict: whatever two readers could take for different bodies is refused.

/// A size in hexadecimal, an extension, a trailer line: longer ones are refused.
const LINE_MAX_BYTES: usize = 4096;
const TRAILER_MAX_BYTES: usize = 16 * 1024;
/// Not in a trailer.
const FRAMING_HEADERS: [&str; 7] = [
    "connection",
    "proxy-connection",
    "upgrade",
    "host",
    "content-length",
    "transfer-encoding",
    "expect",
];
/// Handed up at once.
const PIECE_MAX_BYTES: usize = 64 * 1024;

#[derive(Debug, PartialEq, Clone, Copy)]
pub enum Body {
    /// So many bytes.
    Sized(u64),
    Chunked(Chunk),
}

/// Where in a chunked body the next byte lies.
#[derive(Debug, PartialEq, Clone, Copy)]
pub enum Chunk {
    Size,
    Data(u64),
    /// The line end behind the data.
    DataEnd,
    /// So many bytes of it were taken.
    Trailer(usize),
    Over,
}

/// The framing is broken: what follows cannot be told from anything else.
#[derive(Debug, PartialEq)]
pub struct Broken;

impl Body {
    pub const NONE: Self = Self::Sized(0);
    pub const CHUNKED: Self = Self::Chunked(Chunk::Size);

    pub fn is_over(self) -> bool {
        matches!(self, Self::Sized(0) | Self::Chunked(Chunk::Over))
    }

    /// The next piece that is at the beginning of `input`, with how many bytes of it are used up: framing too, so that more may be used up than is given.
    /// An empty piece, while the body is not over, says that more must come.
    pub fn take(&mut self, input: &[u8]) -> Result<(Vec<u8>, usize), Broken> {
        let mut piece = Vec::new();
        let mut at = 0;
        while !self.is_over() && piece.len() < PIECE_MAX_BYTES {
            let used = self.step(&input[at..], &mut piece)?;
            if used == 0 {
                break;
            }
            at += used;
        }
        Ok((piece, at))
    }

    /// Uses up bytes of one kind; none when there are too few of them.
    fn step(&mut self, input: &[u8], piece: &mut Vec<u8>) -> Result<usize, Broken> {
        match self {
            Self::Sized(left) => Ok(take_bytes(left, input, piece)),
            Self::Chunked(chunk) => chunk.step(input, piece),
        }
    }
}

impl Chunk {
    fn step(&mut self, input: &[u8], piece: &mut Vec<u8>) -> Result<usize, Broken> {
        match self {
            Self::Data(left) => {
                let count = take_bytes(left, input, piece);
                if *left == 0 {
                    *self = Self::DataEnd;
                }
                Ok(count)
            }
            Self::DataEnd => match input {
                [b'\r', b'\n', ..] => {
                    *self = Self::Size;
                    Ok(2)
                }
                [] | [b'\r'] => Ok(0),
                _ => Err(Broken),
            },
            Self::Size => {
                let Some(line) = line_of(input)? else {
                    return Ok(0);
                };
                *self = match size_of_chunk(line)? {
                    0 => Self::Trailer(0),
                    size => Self::Data(size),
                };
                Ok(line.len() + 2)
            }
            Self::Trailer(taken) => {
                let Some(line) = line_of(input)? else {
                    return Ok(0);
                };
                *taken += line.len() + 2;
                if *taken > TRAILER_MAX_BYTES || !(line.is_empty() || is_header(line)) {
                    return Err(Broken);
                }
                if line.is_empty() {
                    *self = Self::Over;
                }
                Ok(line.len() + 2)
            }
            Self::Over => Ok(0),
        }
    }
}

fn take_bytes(left: &mut u64, input: &[u8], piece: &mut Vec<u8>) -> usize {
    let room = PIECE_MAX_BYTES - piece.len();
    let count = input
        .len()
        .min(room)
        .min(usize::try_from(*left).unwrap_or(usize::MAX));
    piece.extend_from_slice(&input[..count]);
    *left -= count as u64;
    count
}

/// The line that begins here, without its end; undefined while that has not come.
fn line_of(input: &[u8]) -> Result<Option<&[u8]>, Broken> {
    let end = input
        .iter()
        .take(LINE_MAX_BYTES)
        .position(|byte| matches!(byte, b'\r' | b'\n' | 0));
    match end {
        None if input.len() < LINE_MAX_BYTES => Ok(None),
        None => Err(Broken),
        Some(end) => match &input[end..] {
            [b'\r', b'\n', ..] => Ok(Some(&input[..end])),
            [b'\r'] => Ok(None),
            _ => Err(Broken),
        },
    }
}

/// At most 15 digits, and maybe an extension, which says nothing to us.
fn size_of_chunk(line: &[u8]) -> Result<u64, Broken> {
    let mut parts = line.split(|byte| *byte == b';');
    let digits = parts.next().unwrap_or_default();
    if !parts.all(is_extension) {
        return Err(Broken);
    }
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Broken);
    }
    let text = std::str::from_utf8(digits).map_err(|_| Broken)?;
    u64::from_str_radix(text, 16).map_err(|_| Broken)
}

/// `name`, `name=value` or `name="value"`, without a semicolon in the value.
fn is_extension(part: &[u8]) -> bool {
    let mut halves = part.splitn(2, |byte| *byte == b'=');
    let name = halves.next().unwrap_or_default();
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    is_token(name)
        && halves.next().is_none_or(|value| match value {
            [b'"', text @ .., b'"'] => text.iter().all(is_plain),
            _ => is_token(value),
        })
}

fn is_token(text: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_allowed)
}

/// One that says nothing of the connection or of the framing.
fn is_header(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_framing = |one: &&str| name.eq_ignore_ascii_case(one.as_bytes());
    if FRAMING_HEADERS.iter().any(is_framing) {
        return false;
    }
    let whole = [line, b"\r\n\r\n"].concat();
    let mut headers = [httparse::EMPTY_HEADER; 1];
    matches!(
        httparse::parse_headers(&whole, &mut headers),
        Ok(httparse::Status::Complete(_))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content, and what of the text is behind the body; as it comes in pieces of this length.
    fn read(text: &str, piece_length: usize) -> Result<Option<(String, String)>, Broken> {
        let mut body = Body::CHUNKED;
        let (mut input, mut content) = (Vec::new(), Vec::new());
        let mut pieces = text.as_bytes().chunks(piece_length);
        while !body.is_over() {
            let (piece, used) = body.take(&input)?;
            content.extend_from_slice(&piece);
            input.drain(..used);
            if used > 0 {
                continue;
            }
            match pieces.next() {
                Some(more) => input.extend_from_slice(more),
                None => return Ok(None),
            }
        }
        let rest = pieces.fold(input, |rest, piece| [&rest, piece].concat());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok(Some((text(content), text(rest))))
    }

    #[test]
    fn a_chunked_body_is_the_same_however_it_comes() {
        let text = "5\r\nhello\r\n0010;a=\"b\"\r\n, wide\r\nworld!..\r\n0\r\nx-a: 1\r\n\r\nGET /";
        let content = "hello, wide\r\nworld!..".to_owned();
        for length in 1..text.len() + 1 {
            let expected = Some((content.clone(), "GET /".to_owned()));
            assert_eq!(read(text, length), Ok(expected), "{length}");
        }
        assert_eq!(read("5\r\nhel", 100), Ok(None));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_broken() {
        for text in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "-1\r\nhello\r\n0\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
            ";a\r\nhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5;\r\nhello\r\n0\r\n\r\n",
            "5;a=\r\nhello\r\n0\r\n\r\n",
            "5; a\r\nhello\r\n0\r\n\r\n",
            "5;\0\r\nhello\r\n0\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            "0\r\nno header\r\n\r\n",
            "0\r\n folded: 1\r\n\r\n",
            "0\r\nx : 1\r\n\r\n",
            "0\r\nConnection: close\r\n\r\n",
            "0\r\ncontent-length: 1\r\n\r\n",
            "0\r\n\n",
            "0\r\r\n",
        ] {
            for length in [1, 3, text.len()] {
                assert_eq!(read(text, length), Err(Broken), "{text:?}");
            }
        }
        let long = format!("1;{}\r\n", "a".repeat(LINE_MAX_BYTES));
        assert_eq!(read(&long, 1000), Err(Broken));
        let trailer = format!("0\r\n{}\r\n", "x: 1\r\n".repeat(TRAILER_MAX_BYTES / 6 + 1));
        assert_eq!(read(&trailer, 1000), Err(Broken));
    }
}
