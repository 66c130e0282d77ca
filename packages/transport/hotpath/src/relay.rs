//! Passes requests whose routes are known on to the owners of their files, and the answers back: the head rewritten, the body as it comes, read from the owner
//! only when the client takes it. Whatever is not a plain answer goes up to TypeScript, which knows what else there is to try.

use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::answer::push_id;
use crate::connection::{
    is_passing, part_of, receive, send, send_parts, Connection, Flush, Phase, Received, TURN_BYTES,
};
use crate::events::Cause;
use crate::locked;
use crate::reactor::{Next, Reactor, UPSTREAM_BIT};
use crate::request::{relayed_lines, Head};
use crate::route::Route;
use crate::upstream::{finish_head, read_answer, PeerAnswer, PeerHead};
use crate::uses::Line;

/// To connect and to begin to answer; TypeScript has the patience that is right after that, and asks whether the owner lives.
const HEAD_TIMEOUT: Duration = Duration::from_millis(500);
/// How often, at least, those that are late are looked for. Most that were awaited have come: a timer for each would wake the thread for nothing.
pub const HEADS_INTERVAL: Duration = Duration::from_millis(100);
/// Between two pieces of a body, as for a head.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);
/// The same, where nobody else can go on.
const LAST_BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// What of a body is moved at once. It may have to wait for a client that is slow, so it bounds what each of them takes.
const PIECE_BYTES: usize = 128 * 1024;
/// Most heads are shorter; what of the body comes with them is copied.
const HEAD_ROOM_BYTES: usize = 1024;

/// One request that is being passed on.
pub struct Relay {
    pub upstream: usize,
    /// The connection has carried answers before, so it may have been closed while the request was under way.
    is_kept: bool,
    /// Tells it from others of its client.
    pub number: u64,
    begun_at: Instant,
    /// What its id is made of, here and at the owner.
    sequence: u64,
    route: Arc<Route>,
    request: Vec<u8>,
    request_at: usize,
    answer: Answer,
    /// For the client: of the rewritten head and the body. As long as there is no head, what has come of the owner's.
    held: Vec<u8>,
    held_at: usize,
}

enum Answer {
    /// The head has not come whole.
    Awaited,
    Begun {
        /// Of the body, not received.
        left: u64,
        head: PeerHead,
    },
}

/// What a turn came to.
enum Pumped {
    /// The owner has nothing more now, or the client takes no more.
    Waits,
    Yields,
    Done,
    /// The owner does not answer as it should; false when that says nothing about the route.
    Failed(bool),
    ClientFailed,
}

impl Relay {
    pub fn is_begun(&self) -> bool {
        matches!(self.answer, Answer::Begun { .. })
    }

    /// Whether TypeScript can go on where the owner stops.
    fn has_rest(&self) -> bool {
        matches!(&self.answer, Answer::Begun { head, .. } if head.rest.is_some())
    }
}

impl Reactor {
    /// Sets about passing a request on, if its route is known; false leaves it to others.
    pub fn begin_relay(&mut self, connection: &mut Connection, head: &Head) -> bool {
        if self.is_draining {
            return false;
        }
        let is_head = head.method == "HEAD";
        let target = head.target.as_bytes();
        let found =
            locked(&self.shared.routes).find(connection.listener, is_head, target, self.now);
        let Some(route) = found else {
            return false;
        };
        let mut request = Vec::with_capacity(route.request.len() + 256);
        request.extend_from_slice(&route.request);
        if !relayed_lines(head, &self.settings.neutral_headers, &mut request) {
            return false;
        }
        let Some(taken) = self.upstreams.take(route.peer, connection.id, self.now) else {
            return false;
        };
        if !taken.is_kept && !self.watch_upstream(taken.index) {
            self.upstreams.close(taken.index);
            return false;
        }
        request.extend_from_slice(b"x-alluxio-request-id: ");
        push_id(&mut request, &self.settings.id_prefix, self.sequence);
        request.extend_from_slice(b"\r\n\r\n");
        self.relay_count += 1;
        let due = self.now + HEAD_TIMEOUT;
        self.heads_due
            .push_back((due, connection.id, self.relay_count));
        connection.is_blocked = false;
        connection.phase = Phase::Relay(Box::new(Relay {
            upstream: taken.index,
            is_kept: taken.is_kept,
            number: self.relay_count,
            begun_at: self.now,
            sequence: self.sequence,
            route,
            request,
            request_at: 0,
            answer: Answer::Awaited,
            held: Vec::new(),
            held_at: 0,
        }));
        self.sequence += 1;
        true
    }

    /// Once for the life of the connection: each change is told, and every turn goes on until there is nothing more to do.
    fn watch_upstream(&self, index: usize) -> bool {
        let Some(upstream) = self.upstreams.get(index) else {
            return false;
        };
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let (fd, token) = (upstream.socket.as_raw_fd(), UPSTREAM_BIT | index as u64);
        self.watch(libc::EPOLL_CTL_ADD, fd, events as u32, token)
            .is_ok()
    }

    pub fn on_upstream(&mut self, index: usize) {
        match self.upstreams.get(index).map(|upstream| upstream.client) {
            Some(Some(client)) => self.with(client, |reactor, connection| {
                let is_its =
                    matches!(&connection.phase, Phase::Relay(relay) if relay.upstream == index);
                if is_its && !connection.is_blocked {
                    reactor.relay_turn(connection)
                } else {
                    Next::Keep
                }
            }),
            // An idle one is closed, or says what nobody asked.
            Some(None) if !self.is_connected(index) => self.upstreams.close(index),
            Some(None) | None => {}
        }
    }

    /// Whether an idle connection is as it should be: open, with nothing to read.
    fn is_connected(&self, index: usize) -> bool {
        let Some(upstream) = self.upstreams.get(index) else {
            return false;
        };
        let mut byte = [0_u8; 1];
        // SAFETY: one byte of this frame.
        let count = unsafe {
            libc::recv(
                upstream.socket.as_raw_fd(),
                byte.as_mut_ptr().cast(),
                1,
                libc::MSG_PEEK,
            )
        };
        count < 0 && is_passing()
    }

    /// Those that were to have begun to answer by now.
    pub fn expire_heads(&mut self) {
        while let Some((due, client, number)) = self.heads_due.front().copied() {
            if due > self.now {
                return;
            }
            self.heads_due.pop_front();
            self.with(client, |reactor, connection| match &connection.phase {
                Phase::Relay(relay) if relay.number == number && !relay.is_begun() => {
                    reactor.break_off(connection, true)
                }
                _ => Next::Keep,
            });
        }
    }

    /// Goes on with an answer as far as the owner and the client let it.
    pub fn relay_turn(&mut self, connection: &mut Connection) -> Next {
        let pumped = self.pump(connection);
        let has_rest = matches!(&connection.phase, Phase::Relay(relay) if relay.has_rest());
        connection.deadline = self.now
            + match (connection.is_blocked, has_rest) {
                (true, _) => self.settings.stall_timeout,
                (false, true) => BODY_TIMEOUT,
                (false, false) => LAST_BODY_TIMEOUT,
            };
        match pumped {
            Pumped::Waits => Next::Keep,
            Pumped::Yields => {
                self.ready.push(connection.id);
                Next::Keep
            }
            Pumped::Done => {
                self.end_relay(connection);
                self.read_requests(connection)
            }
            Pumped::Failed(is_route_bad) => self.break_off(connection, is_route_bad),
            Pumped::ClientFailed => Next::Reset,
        }
    }

    fn pump(&mut self, connection: &mut Connection) -> Pumped {
        let Connection {
            phase,
            socket: client,
            is_blocked,
            ..
        } = connection;
        let Phase::Relay(relay) = phase else {
            return Pumped::Waits;
        };
        let Some(upstream) = self.upstreams.get(relay.upstream) else {
            return Pumped::Failed(true);
        };
        *is_blocked = false;
        while relay.request_at < relay.request.len() {
            match send(&upstream.socket, &relay.request[relay.request_at..], 0) {
                Ok(count) => relay.request_at += count,
                Err(Flush::Blocked) => return Pumped::Waits,
                Err(_) => return Pumped::Failed(!relay.is_kept),
            }
        }
        let buffer = &mut self.relay_buffer;
        let mut budget = TURN_BYTES;
        loop {
            if relay.is_begun() && relay.held_at < relay.held.len() {
                match send(client, &relay.held[relay.held_at..], 0) {
                    Ok(count) => relay.held_at += count,
                    Err(Flush::Blocked) => {
                        *is_blocked = true;
                        return Pumped::Waits;
                    }
                    Err(_) => return Pumped::ClientFailed,
                }
                continue;
            }
            if let Answer::Begun { left, .. } = &mut relay.answer {
                if *left == 0 {
                    return Pumped::Done;
                }
                if budget == 0 {
                    return Pumped::Yields;
                }
                relay.held_at = 0;
                relay.held.clear();
                let max = (*left).min(PIECE_BYTES as u64) as usize;
                let passed = self
                    .pipe
                    .pass(&upstream.socket, client, max, &mut relay.held);
                match passed {
                    Received::Some(count) => {
                        *left -= count as u64;
                        budget = budget.saturating_sub(count);
                    }
                    Received::Nothing => return Pumped::Waits,
                    Received::End => return Pumped::Failed(true),
                }
                continue;
            }
            buffer.clear();
            buffer.extend_from_slice(&relay.held);
            match receive(&upstream.socket, buffer, HEAD_ROOM_BYTES) {
                Received::Some(_) => {}
                Received::Nothing => return Pumped::Waits,
                Received::End => {
                    return Pumped::Failed(!relay.is_kept || !relay.held.is_empty());
                }
            }
            let mut out = Vec::with_capacity(HEAD_ROOM_BYTES);
            match read_answer(buffer, relay.route.is_head, &mut out) {
                PeerAnswer::Partial => relay.held.clone_from(buffer),
                PeerAnswer::Other => return Pumped::Failed(true),
                PeerAnswer::Whole(head) => {
                    let body = &buffer[head.head_bytes..];
                    let Some(left) = head.body_bytes.checked_sub(body.len() as u64) else {
                        return Pumped::Failed(true);
                    };
                    let id = (&*self.settings.id_prefix, relay.sequence);
                    finish_head(
                        &mut out,
                        &relay.route.request_id_header,
                        id,
                        &self.date.line,
                    );
                    let sent = match send_parts(client, &[part_of(&out), part_of(body)]) {
                        Ok(sent) => sent,
                        Err(Flush::Blocked) => 0,
                        Err(_) => return Pumped::ClientFailed,
                    };
                    relay.held.clear();
                    if sent < out.len() + body.len() {
                        out.extend_from_slice(body);
                        relay.held.extend_from_slice(&out[sent..]);
                    }
                    relay.answer = Answer::Begun { left, head };
                }
            }
        }
    }

    /// The answer has gone whole.
    fn end_relay(&mut self, connection: &mut Connection) {
        self.report_relay(connection, true);
        let Phase::Relay(relay) = std::mem::replace(&mut connection.phase, Phase::Head) else {
            return;
        };
        match relay.answer {
            Answer::Begun { head, .. } if head.is_kept_alive => {
                self.upstreams.give_back(relay.upstream, self.now);
            }
            _ => self.upstreams.close(relay.upstream),
        }
    }

    /// An answer of which the client has got something is over.
    pub fn report_relay(&self, connection: &Connection, is_complete: bool) {
        let Phase::Relay(relay) = &connection.phase else {
            return;
        };
        let Answer::Begun { left, head } = &relay.answer else {
            return;
        };
        let held_bytes = (relay.held.len() - relay.held_at) as u64;
        let sent_bytes = head.body_bytes.saturating_sub(left + held_bytes);
        let counts = &self.shared.counts[connection.listener as usize];
        counts
            .relayed
            .fetch_add(u64::from(is_complete), Ordering::Relaxed);
        counts
            .relayed_bytes
            .fetch_add(sent_bytes, Ordering::Relaxed);
        self.log(connection, |target| Line {
            listener: connection.listener,
            is_head: relay.route.is_head,
            status: u32::from(head.status),
            outcome: head.outcome.clone(),
            target,
            sequence: relay.sequence,
            sent_bytes,
            time: relay.begun_at.elapsed(),
            remote: connection.remote_address,
            is_complete,
        });
    }

    /// The owner does not go on: TypeScript answers instead, from the beginning, or for what is left of a body that was begun.
    pub fn break_off(&mut self, connection: &mut Connection, is_route_bad: bool) -> Next {
        let Phase::Relay(relay) = &connection.phase else {
            return Next::Keep;
        };
        if is_route_bad {
            locked(&self.shared.routes).drop_one(&relay.route);
        }
        // What was begun cannot be told from another version of it.
        if relay.is_begun() && !relay.has_rest() {
            return Next::Reset;
        }
        let Phase::Relay(relay) = std::mem::replace(&mut connection.phase, Phase::Head) else {
            return Next::Keep;
        };
        self.upstreams.close(relay.upstream);
        let cause = match relay.answer {
            Answer::Begun {
                left,
                head:
                    PeerHead {
                        rest: Some((to, etag)),
                        ..
                    },
            } => {
                connection
                    .chunks
                    .push_back(relay.held[relay.held_at..].to_vec());
                Cause::Broken {
                    from: to - left,
                    to,
                    etag: etag.into(),
                }
            }
            Answer::Awaited | Answer::Begun { .. } => Cause::NotInTable,
        };
        self.hand_up_again(connection, &cause)
    }
}
