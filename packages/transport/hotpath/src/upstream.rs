//! Connections to other workers: a bounded pool for each, and what the head of their answer says.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use httparse::{Response, Status};

use crate::answer::push_id;
use crate::listener::set_option;
use crate::request::{contains_token, number_of, HEADERS_MAX, HEAD_MAX_BYTES};
use crate::shared::owned;

/// A connection that was not used for so long is closed: less than servers leave one open.
const IDLE_MAX: Duration = Duration::from_secs(4);

pub struct Upstream {
    pub socket: OwnedFd,
    peer: SocketAddr,
    /// Whose answer it carries; nobody's while it is idle.
    pub client: Option<u64>,
    idle_since: Instant,
}

#[derive(Default)]
struct Peer {
    open_count: usize,
    /// The one that was used last is the last.
    idle: Vec<usize>,
}

pub struct Upstreams {
    slots: Vec<Option<Upstream>>,
    free: Vec<usize>,
    peers: HashMap<SocketAddr, Peer>,
    per_peer_max: usize,
}

pub struct Taken {
    pub index: usize,
    /// It has carried answers before.
    pub is_kept: bool,
}

impl Upstreams {
    pub fn new(per_peer_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            peers: HashMap::new(),
            per_peer_max,
        }
    }

    /// A connection for this client: a kept one, else one that is being made; undefined when there are as many as there may be.
    pub fn take(&mut self, address: SocketAddr, client: u64, now: Instant) -> Option<Taken> {
        let peer = self.peers.entry(address).or_default();
        if let Some(index) = peer.idle.pop() {
            self.slots[index].as_mut()?.client = Some(client);
            return Some(Taken {
                index,
                is_kept: true,
            });
        }
        if peer.open_count >= self.per_peer_max {
            return None;
        }
        let upstream = Upstream {
            socket: connect(address).ok()?,
            peer: address,
            client: Some(client),
            idle_since: now,
        };
        peer.open_count += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[index] = Some(upstream);
        Some(Taken {
            index,
            is_kept: false,
        })
    }

    pub fn get(&self, index: usize) -> Option<&Upstream> {
        self.slots.get(index)?.as_ref()
    }

    /// Its answer is over, and it may carry another.
    pub fn give_back(&mut self, index: usize, now: Instant) {
        let Some(upstream) = self.slots[index].as_mut() else {
            return;
        };
        upstream.client = None;
        upstream.idle_since = now;
        self.peers
            .entry(upstream.peer)
            .or_default()
            .idle
            .push(index);
    }

    pub fn close(&mut self, index: usize) {
        let Some(upstream) = self.slots[index].take() else {
            return;
        };
        self.free.push(index);
        if let Some(peer) = self.peers.get_mut(&upstream.peer) {
            peer.open_count -= 1;
            peer.idle.retain(|other| *other != index);
            if peer.open_count == 0 {
                self.peers.remove(&upstream.peer);
            }
        }
    }

    pub fn close_idle(&mut self, now: Instant) {
        for index in 0..self.slots.len() {
            let is_over = |upstream: &Upstream| {
                upstream.client.is_none() && now - upstream.idle_since > IDLE_MAX
            };
            if self.get(index).is_some_and(is_over) {
                self.close(index);
            }
        }
    }
}

/// Begins to connect. What becomes of it, the first bytes sent or received tell.
fn connect(peer: SocketAddr) -> io::Result<OwnedFd> {
    let (storage, length) = address_of(peer);
    let flags = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no memory is passed.
    let socket = owned(unsafe { libc::socket(libc::c_int::from(storage.ss_family), flags, 0) })?;
    set_option(
        socket.as_raw_fd(),
        libc::TCP_NODELAY,
        &libc::c_int::from(true).to_ne_bytes(),
    )?;
    // SAFETY: the address has the length that is passed.
    let status = unsafe { libc::connect(socket.as_raw_fd(), (&raw const storage).cast(), length) };
    let error = io::Error::last_os_error();
    if status < 0 && error.raw_os_error() != Some(libc::EINPROGRESS) {
        return Err(error);
    }
    Ok(socket)
}

fn address_of(peer: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: an address of zeros is a valid value.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let pointer = &raw mut storage;
    let length = match peer {
        SocketAddr::V4(peer) => {
            // SAFETY: the storage is long enough for every address, and aligned for it.
            let v4 = unsafe { &mut *pointer.cast::<libc::sockaddr_in>() };
            v4.sin_family = libc::AF_INET as libc::sa_family_t;
            v4.sin_port = peer.port().to_be();
            v4.sin_addr.s_addr = u32::from_ne_bytes(peer.ip().octets());
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(peer) => {
            // SAFETY: as above.
            let v6 = unsafe { &mut *pointer.cast::<libc::sockaddr_in6>() };
            v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            v6.sin6_port = peer.port().to_be();
            v6.sin6_addr.s6_addr = peer.ip().octets();
            v6.sin6_scope_id = peer.scope_id();
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, length as libc::socklen_t)
}

/// The head of an answer that may be passed on.
pub struct PeerHead {
    pub status: u16,
    /// As the client gets it.
    pub outcome: Box<[u8]>,
    /// Of what was parsed.
    pub head_bytes: usize,
    pub body_bytes: u64,
    pub is_kept_alive: bool,
    /// One after the last byte of the file that the body has, and the version: what the rest is asked for by.
    pub rest: Option<(u64, Box<[u8]>)>,
}

pub enum PeerAnswer {
    Partial,
    Whole(PeerHead),
    /// TypeScript is to decide.
    Other,
}

/// What belongs to one connection and not to the answer: the same as in `peer-relay.ts`.
const HOP_HEADERS: [&str; 5] = [
    "connection",
    "keep-alive",
    "date",
    "x-amz-request-id",
    "x-request-id",
];

/// Reads the head and writes what of it the client gets to `out`, without the lines that are ours, and the empty one.
pub fn read_answer(input: &[u8], is_head: bool, out: &mut Vec<u8>) -> PeerAnswer {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let head_bytes = match response.parse(input) {
        Ok(Status::Complete(head_bytes)) => head_bytes,
        Ok(Status::Partial) if input.len() < HEAD_MAX_BYTES => return PeerAnswer::Partial,
        Ok(Status::Partial) | Err(_) => return PeerAnswer::Other,
    };
    pass_on(&response, head_bytes, is_head, out).map_or(PeerAnswer::Other, PeerAnswer::Whole)
}

fn pass_on(
    response: &Response,
    head_bytes: usize,
    is_head: bool,
    out: &mut Vec<u8>,
) -> Option<PeerHead> {
    let status: &[u8] = match response.code? {
        200 => b"HTTP/1.1 200 OK\r\n",
        206 => b"HTTP/1.1 206 Partial Content\r\n",
        304 => b"HTTP/1.1 304 Not Modified\r\n",
        _ => return None,
    };
    out.extend_from_slice(status);
    let mut is_kept_alive = response.version? == 1;
    let (mut length, mut range, mut etag) = (None, None, None);
    let mut outcome: &[u8] = b"";
    for header in response.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let mut value = header.value;
        if is("transfer-encoding") {
            return None;
        } else if is("connection") {
            is_kept_alive &= !contains_token(value, "close");
        } else if is("content-length") {
            // One that comes twice could mean two things to two readers.
            if length.replace(number_of(value)?).is_some() {
                return None;
            }
        } else if is("content-range") {
            range = Some(part_of(value)?);
        } else if is("etag") {
            etag = Some(value);
        } else if is("x-alluxio-cache") {
            if value == b"hit" {
                value = b"hit-peer";
            }
            outcome = value;
        }
        if !HOP_HEADERS.iter().any(|name| is(name)) {
            out.extend_from_slice(header.name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
    if response.code == Some(304) {
        length = Some(0);
    }
    let length = length?;
    let to = match (response.code?, range) {
        (200, None) => Some(length),
        (206, Some((from, to))) if to - from == length => Some(to),
        (206, Some(_)) if !is_head => return None,
        _ => None,
    };
    Some(PeerHead {
        status: response.code?,
        outcome: outcome.into(),
        head_bytes,
        body_bytes: if is_head { 0 } else { length },
        is_kept_alive,
        rest: to.zip(etag.map(Box::from)),
    })
}

/// Bytes [from, to) of `bytes 0-9/100`.
fn part_of(value: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(value.strip_prefix(b"bytes ")?).ok()?;
    let (first, last) = text.split_once('/')?.0.split_once('-')?;
    let from = number_of(first.as_bytes())?;
    let to = number_of(last.as_bytes())?.checked_add(1)?;
    (from < to).then_some((from, to))
}

/// The lines that are ours.
pub fn finish_head(
    out: &mut Vec<u8>,
    id_header: &[u8],
    (id_prefix, sequence): (&str, u64),
    date_line: &[u8],
) {
    out.extend_from_slice(id_header);
    push_id(out, id_prefix, sequence);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(date_line);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str, is_head: bool) -> (Option<PeerHead>, String) {
        let mut out = Vec::new();
        let read = match read_answer(head.as_bytes(), is_head, &mut out) {
            PeerAnswer::Whole(read) => Some(read),
            _ => None,
        };
        (read, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_head_is_passed_on_without_what_belongs_to_its_connection() {
        let (read, out) = read(
            "HTTP/1.1 206 Partial Content\r\netag: \"v\"\r\nContent-Length: 10\r\ncontent-range: bytes 5-14/20\r\n\
             x-alluxio-cache: hit\r\nx-amz-request-id: theirs\r\ndate: then\r\nconnection: keep-alive\r\n\r\nbody",
            false,
        );
        let read = read.unwrap();
        assert_eq!((read.body_bytes, read.is_kept_alive), (10, true));
        assert_eq!(read.rest, Some((15, Box::from(*b"\"v\""))));
        assert_eq!(
            out,
            "HTTP/1.1 206 Partial Content\r\netag: \"v\"\r\nContent-Length: 10\r\ncontent-range: bytes 5-14/20\r\nx-alluxio-cache: hit-peer\r\n"
        );
    }

    #[test]
    fn answers_without_a_body_end_with_their_head() {
        let whole = |head: &str, is_head| read(head, is_head).0.unwrap().body_bytes;
        assert_eq!(whole("HTTP/1.1 304 Not Modified\r\n\r\n", false), 0);
        assert_eq!(
            whole("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", true),
            0
        );
    }

    #[test]
    fn what_needs_a_decision_is_not_passed_on() {
        for head in [
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nx-alluxio-peer-refused: 1\r\n\r\n",
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 206 Partial Content\r\ncontent-length: 3\r\ncontent-range: bytes 0-9/20\r\n\r\n",
            "HTTP/1.1 206 Partial Content\r\ncontent-length: 3\r\ncontent-range: bytes 9-0/20\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(read(head, false).0.is_none(), "{head}");
        }
    }
}
