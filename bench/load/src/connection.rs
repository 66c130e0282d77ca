//! A connection that has one request under way at a time: kept for the next one, or made anew for each.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use crate::content::Content;

const HEAD_MAX_BYTES: usize = 16 * 1024;

/// What is asked for: bytes [from, to) of an object, or all of it without a Range header.
pub struct Wanted {
    /// Of the object, which its content follows from.
    pub name: String,
    pub size: u64,
    pub from: u64,
    pub to: u64,
    /// The target says what is wanted, not a header.
    pub is_piece: bool,
    pub is_verified: bool,
}

/// Of the REST API, as a worker has them unless it is told otherwise.
const PAGE_BYTES: u64 = 4 * 1024 * 1024;

/// Where the objects are.
pub enum Place {
    /// Below a path; a header says which range is wanted.
    Folder(String),
    /// Pages of files below this UFS path, asked of a worker's REST API; the target says which piece is wanted. No piece crosses a page.
    Pages(String),
}

impl Place {
    fn is_pages(&self) -> bool {
        matches!(self, Self::Pages(_))
    }

    fn target_of(&self, wanted: &Wanted) -> String {
        let Wanted { name, from, to, .. } = wanted;
        match self {
            Self::Folder(path) => format!("{path}/{name}"),
            Self::Pages(root) => {
                let (page, offset) = (from / PAGE_BYTES, from % PAGE_BYTES);
                let length = to - from;
                format!("/v1/file/bench/page/{page}?offset={offset}&length={length}&ufsFullPath={root}/{name}")
            }
        }
    }
}

impl Wanted {
    /// The answer is to be 200 and without a range.
    fn is_whole(&self) -> bool {
        self.is_piece || (self.from == 0 && self.to == self.size)
    }
}

pub struct Answer {
    pub body_bytes: u64,
    pub latency_ns: u64,
    pub is_verified: bool,
}

pub struct Connection {
    address: SocketAddr,
    /// Whether each request has a connection of its own.
    is_fresh: bool,
    stream: TcpStream,
    wanted: Wanted,
    content: Content,
    sent_at: Instant,
    /// The head as far as it has come; its body begins when it is empty again and `body_left` is known.
    head: Vec<u8>,
    body_left: Option<u64>,
}

impl Connection {
    pub fn open(address: SocketAddr, is_fresh: bool) -> io::Result<Self> {
        let stream = connect(address)?;
        let wanted = Wanted {
            name: String::new(),
            size: 0,
            from: 0,
            to: 0,
            is_piece: false,
            is_verified: false,
        };
        Ok(Self {
            address,
            is_fresh,
            stream,
            wanted,
            content: Content::of(""),
            sent_at: Instant::now(),
            head: Vec::with_capacity(HEAD_MAX_BYTES),
            body_left: None,
        })
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// After an answer on a connection that served its one request: the next one, with a new descriptor.
    pub fn renew(&mut self) -> io::Result<()> {
        self.stream = connect(self.address)?;
        Ok(())
    }

    pub fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// `due` is when the request was to begin: its latency counts from there.
    pub fn send(&mut self, place: &Place, mut wanted: Wanted, due: Instant) -> io::Result<()> {
        wanted.is_piece = place.is_pages();
        let range = if wanted.is_whole() {
            String::new()
        } else {
            format!("Range: bytes={}-{}\r\n", wanted.from, wanted.to - 1)
        };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: bench\r\n{range}{}\r\n",
            place.target_of(&wanted),
            if self.is_fresh {
                "Connection: close\r\n"
            } else {
                ""
            }
        );
        if wanted.is_verified {
            self.content = Content::of(&wanted.name);
        }
        self.wanted = wanted;
        self.sent_at = due;
        // A request is far smaller than a socket's buffer, which is empty now.
        self.stream.write_all(request.as_bytes())
    }

    /// Takes what has come; the answer once it is whole. Whatever is not as asked for is an error.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<Answer>, String> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err(self.failure("the server closed the connection")),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failure(&error.to_string())),
            };
            if self.take(&buffer[..count])? {
                self.body_left = None;
                return Ok(Some(Answer {
                    body_bytes: self.wanted.to - self.wanted.from,
                    latency_ns: self.sent_at.elapsed().as_nanos() as u64,
                    is_verified: self.wanted.is_verified,
                }));
            }
            // A short read has emptied the socket: the next one would only say so.
            if count < buffer.len() {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<bool, String> {
        let body = match self.body_left {
            Some(_) => bytes,
            None => {
                let before = self.head.len();
                self.head.extend_from_slice(bytes);
                let Some(end) = end_of_head(&self.head, before) else {
                    if self.head.len() > HEAD_MAX_BYTES {
                        return Err(self.failure("the head of the answer does not end"));
                    }
                    return Ok(false);
                };
                self.check_head(end)?;
                self.head.clear();
                self.body_left = Some(self.wanted.to - self.wanted.from);
                &bytes[end - before..]
            }
        };
        let left = self.body_left.unwrap_or(0);
        if body.len() as u64 > left {
            return Err(self.failure("there are bytes behind the body"));
        }
        if self.wanted.is_verified && !self.content.matches(self.wanted.to - left, body) {
            return Err(self.failure("the body has wrong bytes"));
        }
        self.body_left = Some(left - body.len() as u64);
        Ok(left == body.len() as u64)
    }

    fn check_head(&self, end: usize) -> Result<(), String> {
        let text = String::from_utf8_lossy(&self.head[..end]);
        let mut lines = text.split("\r\n");
        let status = lines.next().unwrap_or("").split(' ').nth(1).unwrap_or("");
        let mut length = None;
        let mut range = None;
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim());
            } else if name.eq_ignore_ascii_case("content-range") {
                range = Some(value.trim());
            }
        }
        let Wanted { from, to, size, .. } = self.wanted;
        let expected_range = format!("bytes {from}-{}/{size}", to.wrapping_sub(1));
        let is_right = length == Some((to - from).to_string().as_str())
            && if self.wanted.is_whole() {
                status == "200" && range.is_none()
            } else {
                status == "206" && range == Some(expected_range.as_str())
            };
        if is_right {
            Ok(())
        } else {
            Err(self.failure(&format!("the head is not as expected: {text}")))
        }
    }

    fn failure(&self, what: &str) -> String {
        let Wanted { name, from, to, .. } = &self.wanted;
        format!("{name} bytes {from} to {to}: {what}")
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Where the body begins; `from` bytes were looked at before.
fn end_of_head(head: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3);
    let at = head[start..]
        .windows(4)
        .position(|part| part == b"\r\n\r\n")?;
    Some(start + at + 4)
}
