//! The thread that owns the sockets: accepts, frames requests, answers from the table, hands every other request up and sends what comes
//! down. It never waits for anything but epoll.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::answer::DateLine;
use crate::checker::Checker;
use crate::connection::{Connection, Exchange, Flush, Phase, Received};
use crate::delays::DelayTimer;
use crate::events::{Cause, Event, Up};
use crate::listener::Listener;
use crate::mark::PeerMarks;
use crate::pipe::Pipe;
use crate::relay::HEADS_INTERVAL;
use crate::request::{self, header_room, Head, Parsed};
use crate::shared::{owned, Command, Shared, LISTENERS_MAX};
use crate::upstream::Upstreams;

const EVENTS_MAX: usize = 128;
const ACCEPTED_PER_TURN_MAX: usize = 64;
/// How often deadlines are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long a client that was told good-bye may take to go.
pub const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

const WAKE_TOKEN: u64 = u64::MAX;
const DELAYS_TOKEN: u64 = u64::MAX - 1;
const LISTENER_TOKEN: u64 = DELAYS_TOKEN - LISTENERS_MAX as u64;
/// Of the tokens of connections to other workers; the rest is their index.
pub const UPSTREAM_BIT: u64 = 1 << 62;
/// A connection's id is its index and, above these bits, how many connections there were before: small enough for a double.
const INDEX_BITS: u32 = 20;

pub struct Settings {
    pub connections_max: usize,
    /// Of the table; whoever asks beyond them is TypeScript's to answer, or to refuse.
    pub answers_max: usize,
    pub headers_timeout: Duration,
    pub keep_alive_timeout: Duration,
    pub stall_timeout: Duration,
    /// Names, in lower case, of headers that change no answer.
    pub neutral_headers: Vec<String>,
    pub id_prefix: String,
    /// Connections to each other worker.
    pub upstreams_max: usize,
    pub peer_marks: PeerMarks,
}

/// What becomes of a connection after its turn.
#[derive(PartialEq)]
pub enum Next {
    Keep,
    Close,
    Reset,
}

pub struct Reactor {
    pub shared: Arc<Shared>,
    pub settings: Settings,
    up: Up,
    pub checker: Checker,
    pub check_count: u64,
    poll: OwnedFd,
    listeners: Vec<Listener>,
    connections: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
    accepted_count: u64,
    /// Connections that the table's answer is on its way to, but the one whose turn it is.
    pub fast_count: usize,
    pub sequence: u64,
    pub events: Vec<Event>,
    /// Connections that used their turn up.
    pub ready: Vec<u64>,
    pub upstreams: Upstreams,
    pub relay_count: u64,
    /// Until when which connection's relay of which number is to have the head of its answer; in the order of time, also those that have it.
    pub heads_due: VecDeque<(Instant, u64, u64)>,
    /// For the heads of owners' answers, for the time of a call.
    pub relay_buffer: Vec<u8>,
    /// For the bodies.
    pub pipe: Pipe,
    pub now: Instant,
    pub date: DateLine,
    pub is_draining: bool,
    is_stopping: bool,
    /// While it is watched how late this thread comes.
    delays: Option<DelayTimer>,
}

impl Reactor {
    pub fn new(shared: Arc<Shared>, settings: Settings, up: Up) -> std::io::Result<Self> {
        // SAFETY: no memory is passed.
        let poll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        let checker = Checker::start(&shared)?;
        let upstreams = Upstreams::new(settings.upstreams_max);
        let reactor = Self {
            shared,
            settings,
            up,
            checker,
            check_count: 0,
            poll,
            listeners: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
            accepted_count: 0,
            fast_count: 0,
            sequence: 0,
            events: Vec::new(),
            ready: Vec::new(),
            upstreams,
            relay_count: 0,
            heads_due: VecDeque::new(),
            relay_buffer: Vec::new(),
            pipe: Pipe::new()?,
            now: Instant::now(),
            date: DateLine::new(),
            is_draining: false,
            is_stopping: false,
            delays: None,
        };
        let wake = reactor.shared.wake_fd();
        reactor.watch(libc::EPOLL_CTL_ADD, wake, libc::EPOLLIN as u32, WAKE_TOKEN)?;
        Ok(reactor)
    }

    pub fn run(mut self) {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
        let mut sweep_at = Instant::now() + SWEEP_INTERVAL;
        while !self.is_stopping {
            let timeout_ms = if self.ready.is_empty() {
                let interval = if self.heads_due.is_empty() {
                    SWEEP_INTERVAL
                } else {
                    HEADS_INTERVAL
                };
                interval.as_millis() as i32
            } else {
                0
            };
            // SAFETY: the array has room for as many events as are asked for.
            let count = unsafe {
                libc::epoll_wait(
                    self.poll.as_raw_fd(),
                    events.as_mut_ptr(),
                    EVENTS_MAX as i32,
                    timeout_ms,
                )
            };
            self.now = Instant::now();
            self.date.refresh(self.now);
            for event in &events[..usize::try_from(count).unwrap_or(0)] {
                self.dispatch(event.u64, event.events);
            }
            for id in std::mem::take(&mut self.ready) {
                self.with(id, Self::flush);
            }
            self.expire_heads();
            if self.now >= sweep_at {
                self.sweep();
                sweep_at = self.now + SWEEP_INTERVAL;
            }
            if !self.events.is_empty() {
                self.up.send(std::mem::take(&mut self.events));
            }
        }
        for connection in self.connections.iter().flatten() {
            if !matches!(connection.phase, Phase::Closing) {
                connection.reset_on_close();
            }
        }
    }

    fn dispatch(&mut self, token: u64, events: u32) {
        if token == WAKE_TOKEN {
            for command in self.shared.take_commands() {
                self.obey(command);
            }
        } else if token == DELAYS_TOKEN {
            if let Some(timer) = &mut self.delays {
                timer.count(&self.shared.delays);
            }
        } else if token >= LISTENER_TOKEN {
            self.accept((token - LISTENER_TOKEN) as u32);
        } else if token & UPSTREAM_BIT != 0 {
            self.on_upstream((token & !UPSTREAM_BIT) as usize);
        } else {
            self.with(token, |reactor, connection| {
                reactor.on_socket(connection, events)
            });
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Listen(listener) => {
                let token = LISTENER_TOKEN + u64::from(listener.number);
                let events = libc::EPOLLIN as u32;
                if self
                    .watch(libc::EPOLL_CTL_ADD, listener.fd(), events, token)
                    .is_ok()
                {
                    self.listeners.push(listener);
                }
            }
            Command::Write(id, bytes) => self.with(id, |reactor, connection| {
                if let Phase::Up(exchange) = &mut connection.phase {
                    exchange.is_begun = true;
                    connection.chunks.push_back(bytes);
                }
                if connection.is_blocked {
                    return Next::Keep;
                }
                reactor.flush(connection)
            }),
            Command::End(id, is_kept) => self.with(id, |reactor, connection| {
                if let Phase::Up(exchange) = &mut connection.phase {
                    exchange.is_answered = true;
                    exchange.is_kept &= is_kept;
                }
                reactor.flush(connection)
            }),
            Command::PullBody(id) => self.with(id, |reactor, connection| {
                if let Phase::Up(exchange) = &mut connection.phase {
                    exchange.is_body_wanted = true;
                }
                reactor.give_body(connection)
            }),
            Command::Reset(id) => self.with(id, |_, _| Next::Reset),
            Command::Checked(id, number, is_good) => self.with(id, |reactor, connection| {
                match &mut connection.phase {
                    Phase::Fast(answer) if answer.check == Some(number) => answer.check = None,
                    _ => return Next::Keep,
                }
                if is_good {
                    reactor.flush(connection)
                } else {
                    reactor.give_up(connection)
                }
            }),
            Command::WatchDelays(is_watched) => self.watch_delays(is_watched),
            Command::Drain => self.drain(),
            Command::Stop => self.is_stopping = true,
        }
    }

    /// Where there is no descriptor left for the timer, nothing is counted.
    fn watch_delays(&mut self, is_watched: bool) {
        self.delays = None;
        if !is_watched {
            return;
        }
        self.delays = DelayTimer::start().ok().filter(|timer| {
            self.watch(
                libc::EPOLL_CTL_ADD,
                timer.fd(),
                libc::EPOLLIN as u32,
                DELAYS_TOKEN,
            )
            .is_ok()
        });
    }

    fn drain(&mut self) {
        self.is_draining = true;
        self.listeners.clear();
        for id in self.ids() {
            self.with(id, |_, connection| {
                let is_idle =
                    matches!(connection.phase, Phase::Head) && connection.input.is_empty();
                if is_idle {
                    Next::Close
                } else {
                    Next::Keep
                }
            });
        }
        self.report_if_drained();
    }

    fn report_if_drained(&mut self) {
        if !self.is_draining {
            return;
        }
        // Who has been told good-bye is waited for no longer.
        let mut connections = self.connections.iter().flatten();
        if connections.all(|connection| matches!(connection.phase, Phase::Closing)) {
            self.events.push(Event::drained_all());
        }
    }

    fn ids(&self) -> Vec<u64> {
        self.connections
            .iter()
            .flatten()
            .map(|connection| connection.id)
            .collect()
    }

    /// Whoever has outstayed their time.
    fn sweep(&mut self) {
        self.upstreams.close_idle(self.now);
        for id in self.ids() {
            self.with(id, |reactor, connection| {
                if connection.deadline > reactor.now {
                    return Next::Keep;
                }
                match &connection.phase {
                    Phase::Head if connection.is_head_begun => {
                        refuse(connection, "408 Request Timeout");
                        Next::Keep
                    }
                    Phase::Head | Phase::Closing => Next::Close,
                    Phase::Fast(answer) if answer.check.is_some() => reactor.give_up(connection),
                    Phase::Fast(_) => Next::Reset,
                    Phase::Relay(_) if connection.is_blocked => Next::Reset,
                    Phase::Relay(_) => reactor.break_off(connection, true),
                    // TypeScript may take as long as it needs; a client may not.
                    Phase::Up(exchange) if connection.is_blocked || exchange.is_body_wanted => {
                        Next::Reset
                    }
                    Phase::Up(_) => Next::Keep,
                }
            });
        }
    }

    /// Gives a connection its turn and does what has to be done after it.
    pub fn with(&mut self, id: u64, turn: impl FnOnce(&mut Self, &mut Connection) -> Next) {
        let index = (id & ((1 << INDEX_BITS) - 1)) as usize;
        let Some(slot) = self.connections.get_mut(index) else {
            return;
        };
        // Events and commands for a connection that has gone meanwhile.
        let Some(mut connection) = slot.take_if(|connection| connection.id == id) else {
            return;
        };
        self.fast_count -= usize::from(connection.is_fast());
        let next = turn(self, &mut connection);
        if next == Next::Keep && self.settle(&mut connection) {
            self.fast_count += usize::from(connection.is_fast());
            self.connections[index] = Some(connection);
            self.report_if_drained();
            return;
        }
        self.report_fast(&connection, false);
        self.report_relay(&connection, false);
        if let Phase::Relay(relay) = &connection.phase {
            self.upstreams.close(relay.upstream);
        }
        if let Phase::Up(_) = connection.phase {
            self.events.push(Event::gone(id));
            connection.reset_on_close();
        } else if next == Next::Reset {
            connection.reset_on_close();
        }
        self.free.push(index);
        self.report_if_drained();
    }

    /// Tells epoll what the connection waits for; false when that fails.
    fn settle(&mut self, connection: &mut Connection) -> bool {
        let wanted = connection.interest_wanted();
        if wanted == connection.interest {
            return true;
        }
        connection.interest = wanted;
        let operation = if std::mem::replace(&mut connection.is_watched, true) {
            libc::EPOLL_CTL_MOD
        } else {
            libc::EPOLL_CTL_ADD
        };
        let socket = connection.socket.as_raw_fd();
        self.watch(operation, socket, wanted, connection.id).is_ok()
    }

    pub fn watch(
        &self,
        operation: libc::c_int,
        fd: RawFd,
        events: u32,
        token: u64,
    ) -> std::io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: both descriptors are open, the event outlives the call.
        if unsafe { libc::epoll_ctl(self.poll.as_raw_fd(), operation, fd, &mut event) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    }

    fn accept(&mut self, listener: u32) {
        let Some(position) = self.listeners.iter().position(|one| one.number == listener) else {
            return;
        };
        for _ in 0..ACCEPTED_PER_TURN_MAX {
            let Some((socket, remote)) = self.listeners[position].accept() else {
                return;
            };
            let open_count = self.connections.len() - self.free.len();
            if open_count >= self.settings.connections_max {
                continue;
            }
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.accepted_count += 1;
            let id = (self.accepted_count << INDEX_BITS) | index as u64;
            let deadline = self.now + self.settings.headers_timeout;
            let connection = Connection::new(socket, id, listener, remote, deadline);
            self.connections[index] = Some(Box::new(connection));
            // Its request is mostly here already: who asks once and is answered at once is never watched.
            self.with(id, Self::read_head);
        }
    }

    fn on_socket(&mut self, connection: &mut Connection, events: u32) -> Next {
        let is = |flag: libc::c_int| events & flag as u32 != 0;
        let is_broken = is(libc::EPOLLERR) || is(libc::EPOLLHUP);
        connection.has_ended |= is(libc::EPOLLRDHUP);
        match &connection.phase {
            Phase::Up(_) if is_broken => Next::Close,
            Phase::Up(_) if is(libc::EPOLLOUT) => self.flush(connection),
            Phase::Up(exchange) if !exchange.is_body_wanted => Next::Keep,
            Phase::Up(_) => match connection.fill() {
                Received::Some(_) => self.give_body(connection),
                Received::Nothing => Next::Keep,
                Received::End => Next::Close,
            },
            Phase::Fast(_) if is_broken => Next::Close,
            Phase::Fast(_) if is(libc::EPOLLOUT) => self.flush(connection),
            Phase::Fast(_) => Next::Keep,
            Phase::Relay(_) if is_broken => Next::Close,
            Phase::Relay(_) if is(libc::EPOLLOUT) => self.flush(connection),
            Phase::Relay(_) => {
                if is(libc::EPOLLIN) && connection.input.is_empty() {
                    connection.fill();
                }
                Next::Keep
            }
            Phase::Closing => match connection.fill() {
                Received::End => Next::Close,
                Received::Some(_) | Received::Nothing => {
                    connection.input.clear();
                    Next::Keep
                }
            },
            Phase::Head => self.read_head(connection),
        }
    }

    fn read_head(&mut self, connection: &mut Connection) -> Next {
        match connection.fill() {
            Received::Some(_) => self.read_requests(connection),
            Received::Nothing => Next::Keep,
            Received::End => Next::Close,
        }
    }

    /// Answers or hands up the requests that have come whole, until one takes longer.
    pub fn read_requests(&mut self, connection: &mut Connection) -> Next {
        while let Phase::Head = connection.phase {
            if connection.input.is_empty() {
                if self.is_draining {
                    return Next::Close;
                }
                connection.is_head_begun = false;
                connection.deadline = self.now + self.settings.keep_alive_timeout;
                return Next::Keep;
            }
            let input = std::mem::take(&mut connection.input);
            let mut headers = header_room();
            let consumed = match request::parse(&input, &mut headers) {
                Parsed::Partial => {
                    connection.input = input;
                    if !connection.is_head_begun {
                        connection.is_head_begun = true;
                        connection.deadline = self.now + self.settings.headers_timeout;
                    }
                    return Next::Keep;
                }
                Parsed::Invalid(status) => {
                    refuse(connection, status);
                    connection.deadline = self.now + CLOSING_TIMEOUT;
                    return Next::Keep;
                }
                Parsed::Whole(head) => {
                    let answered = match self.answer_fast(connection, &head) {
                        Err(Cause::NotInTable) if self.begin_relay(connection, &head) => Ok(()),
                        answered => answered,
                    };
                    match answered {
                        Ok(()) => {
                            connection.request.clear();
                            connection
                                .request
                                .extend_from_slice(&input[..head.head_bytes]);
                        }
                        Err(cause) => self.hand_up(connection, &head, &cause),
                    }
                    head.head_bytes
                }
            };
            connection.input = input;
            connection.consume(consumed);
            connection.is_head_begun = false;
            connection.deadline = self.now + self.settings.stall_timeout;
            let next = match connection.phase {
                Phase::Fast(_) => self.send_fast(connection),
                Phase::Relay(_) => return self.relay_turn(connection),
                _ => Next::Keep,
            };
            if next != Next::Keep {
                return next;
            }
        }
        Next::Keep
    }

    fn hand_up(&mut self, connection: &mut Connection, head: &Head, cause: &Cause) {
        if head.expects_continue && !head.body.is_over() {
            connection.say("HTTP/1.1 100 Continue\r\n\r\n");
        }
        let is_kept = head.persistence.is_kept() && !self.is_draining;
        self.events
            .push(Event::request(connection, head, is_kept, cause));
        connection.phase = Phase::Up(Exchange {
            body: head.body,
            is_begun: matches!(cause, Cause::Broken { .. }),
            is_body_wanted: false,
            is_answered: false,
            is_kept,
        });
    }

    /// Hands up the next piece of the body when it was asked for and is here.
    fn give_body(&mut self, connection: &mut Connection) -> Next {
        let Phase::Up(exchange) = &mut connection.phase else {
            return Next::Keep;
        };
        if !exchange.is_body_wanted {
            return Next::Keep;
        }
        connection.deadline = self.now + self.settings.stall_timeout;
        let Ok((piece, used)) = exchange.body.take(&connection.input) else {
            return self.refuse_body(connection);
        };
        if !piece.is_empty() || exchange.body.is_over() {
            exchange.is_body_wanted = false;
            self.events.push(Event::body(connection.id, piece));
        }
        connection.consume(used);
        Next::Keep
    }

    /// What came is no body: the request is over for TypeScript, and for the client, who may have half of an answer.
    fn refuse_body(&mut self, connection: &mut Connection) -> Next {
        let Phase::Up(Exchange {
            is_begun: false, ..
        }) = &connection.phase
        else {
            return Next::Reset;
        };
        self.events.push(Event::gone(connection.id));
        refuse(connection, request::BAD_REQUEST);
        connection.deadline = self.now + CLOSING_TIMEOUT;
        Next::Keep
    }

    /// Sends on with whatever the connection has under way.
    fn flush(&mut self, connection: &mut Connection) -> Next {
        connection.deadline = self.now + self.settings.stall_timeout;
        match &connection.phase {
            Phase::Fast(answer) if answer.check.is_some() => Next::Keep,
            Phase::Fast(_) => match self.send_fast(connection) {
                Next::Keep => self.read_requests(connection),
                next => next,
            },
            Phase::Relay(_) => self.relay_turn(connection),
            Phase::Up(_) => self.flush_up(connection),
            Phase::Head | Phase::Closing => Next::Keep,
        }
    }

    /// Hands up a request that was to be answered without TypeScript.
    pub fn hand_up_again(&mut self, connection: &mut Connection, cause: &Cause) -> Next {
        let request = std::mem::take(&mut connection.request);
        let mut headers = header_room();
        let Parsed::Whole(head) = request::parse(&request, &mut headers) else {
            return Next::Reset;
        };
        self.hand_up(connection, &head, cause);
        connection.deadline = self.now + self.settings.stall_timeout;
        Next::Keep
    }

    fn flush_up(&mut self, connection: &mut Connection) -> Next {
        let mut sent = 0;
        let flush = connection.flush_chunks(&mut sent);
        if sent > 0 {
            self.events.push(Event::sent(connection.id, sent));
        }
        match flush {
            Flush::Failed => return Next::Reset,
            Flush::Yield => self.ready.push(connection.id),
            Flush::Blocked | Flush::Done | Flush::Unchecked(_) => {}
        }
        let Phase::Up(exchange) = &mut connection.phase else {
            return Next::Keep;
        };
        if !matches!(flush, Flush::Done) || !exchange.is_answered {
            return Next::Keep;
        }
        self.events.push(Event::answered(connection.id));
        // A body that nobody wanted, and that is here, need not cost the connection.
        let unwanted = exchange.body.take(&connection.input);
        if exchange.is_kept && exchange.body.is_over() {
            connection.consume(unwanted.map_or(0, |(_, used)| used));
            connection.phase = Phase::Head;
            return self.read_requests(connection);
        }
        connection.shut_down();
        connection.deadline = self.now + CLOSING_TIMEOUT;
        Next::Keep
    }
}

/// A last word to a client that is not understood.
fn refuse(connection: &mut Connection, status: &str) {
    connection.say(&format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    ));
    connection.shut_down();
}
