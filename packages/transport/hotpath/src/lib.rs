//! The native half of the hot path: one thread that owns sockets and answers what its table knows. Everything that needs a decision goes up
//! to `hotpath-transport.ts`, which also fills the table. docs/decisions/0003-hotpath-seam.md says what crosses the border.

mod answer;
mod body;
mod checker;
mod checksums;
mod connection;
mod delays;
mod events;
mod fast;
mod file_check;
mod file_writer;
mod listener;
mod mark;
mod page;
mod pipe;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod reactor;
mod relay;
mod request;
mod residency;
mod route;
mod scheduling;
mod segment;
mod shared;
mod table;
mod upstream;
mod uses;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use answer::push_id;
use checksums::{blocks_match, checksums_of};
use events::{latin1, Event, Up};
use file_check::FileCheck;
use listener::Listener;
use mark::PeerMarks;
use napi::bindgen_prelude::{AsyncTask, Error, Result, Status, Uint32Array, Uint32ArraySlice};
use napi::threadsafe_function::ThreadsafeFunction;
use napi_derive::napi;
use reactor::{Reactor, Settings};
use request::cut_of;
use route::{Route, Routes};
use shared::{Command, Shared, LISTENERS_MAX};
use table::{Entry, PagePlace, Table, Window};
use uses::{Uses, BUCKETS_MAX};

#[napi(object)]
pub struct HotpathOptions {
    pub table_bytes: u32,
    pub connections_max: u32,
    pub answers_max: u32,
    pub headers_timeout_ms: u32,
    pub keep_alive_timeout_ms: u32,
    pub stall_timeout_ms: u32,
    pub neutral_headers: Vec<String>,
    pub request_id_prefix: String,
    pub routes_bytes: u32,
    /// To each other worker.
    pub upstreams_max: u32,
    /// Of the buckets that times of answers are counted in; one more is for what is above.
    pub time_bounds_ms: Vec<f64>,
    /// Whether `take_lines` will be called.
    pub is_logged: bool,
    /// Of the cluster; empty where there is none.
    pub peer_secret: String,
}

/// An answer that was given here and is over.
#[napi(object)]
pub struct AnsweredLine {
    pub listener: u32,
    pub is_head: bool,
    pub status: u32,
    pub target: String,
    pub request_id: String,
    pub sent_bytes: f64,
    pub duration_ms: f64,
    pub remote_address: String,
    pub is_complete: bool,
    /// As the answer's head says it; empty where that says nothing.
    pub outcome: String,
}

#[napi(object)]
pub struct EntryOptions {
    pub listener: u32,
    pub target: String,
    pub file_key: Vec<u32>,
    pub size_bytes: f64,
    pub page_size_bytes: u32,
    pub fresh_for_ms: f64,
    pub renew_in_ms: f64,
    pub headers: String,
    pub body_headers: String,
    pub request_id_header: String,
    pub etag: String,
    /// The target names only these bytes of the file.
    pub window: Option<WindowOptions>,
    pub pages: Vec<PageOptions>,
}

/// Bytes [from, to) of a file.
#[napi(object)]
pub struct WindowOptions {
    pub from: f64,
    pub to: f64,
}

#[napi(object)]
pub struct PageOptions {
    pub index: u32,
    pub path: String,
    pub offset: f64,
    pub length_bytes: u32,
    /// Of its blocks.
    pub checksums: Uint32Array,
}

#[napi(object)]
pub struct RouteOptions {
    pub listener: u32,
    pub method: String,
    pub target: String,
    pub address: String,
    pub port: u32,
    pub request: String,
    pub request_id_header: String,
    pub fresh_for_ms: f64,
}

/// The port that was bound, or the errno that it failed with.
#[napi(object)]
pub struct Bound {
    pub port: u32,
    pub errno: i32,
}

#[napi]
pub struct Hotpath {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    listener_count: u32,
    id_prefix: String,
}

#[napi]
impl Hotpath {
    #[napi(constructor)]
    pub fn new(
        options: HotpathOptions,
        on_events: ThreadsafeFunction<Vec<Event>, (), Vec<Event>, Status, false>,
    ) -> Result<Self> {
        if options.time_bounds_ms.len() >= BUCKETS_MAX {
            return Err(failure("there are too many bounds of times"));
        }
        let seconds = options.time_bounds_ms.iter().map(|ms| ms / 1000.0);
        let bounds = seconds.map(Duration::from_secs_f64).collect();
        let uses = Uses::new(bounds, options.is_logged);
        let id_prefix = options.request_id_prefix.clone();
        let shared = Arc::new(Shared::new(
            Table::new(options.table_bytes as usize),
            Routes::new(options.routes_bytes as usize),
            uses,
        )?);
        let ms = |count: u32| Duration::from_millis(u64::from(count));
        let settings = Settings {
            connections_max: options.connections_max as usize,
            answers_max: options.answers_max as usize,
            headers_timeout: ms(options.headers_timeout_ms),
            keep_alive_timeout: ms(options.keep_alive_timeout_ms),
            stall_timeout: ms(options.stall_timeout_ms),
            neutral_headers: options.neutral_headers,
            id_prefix: options.request_id_prefix,
            upstreams_max: options.upstreams_max as usize,
            peer_marks: PeerMarks::new(options.peer_secret.as_bytes()),
        };
        let reactor = Reactor::new(Arc::clone(&shared), settings, Up::new(on_events))?;
        let thread = std::thread::Builder::new()
            .name("hotpath".to_owned())
            .spawn(move || {
                let _guard = EndsWithItsThread;
                // Where it is refused, answers come as before.
                scheduling::ask_for_short_turns();
                reactor.run();
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
            listener_count: 0,
            id_prefix,
        })
    }

    /// `host` is an address of this machine. Listeners are numbered in the order in which they are made.
    #[napi]
    pub fn listen(&mut self, host: String, port: u32) -> Result<Bound> {
        if self.listener_count as usize >= LISTENERS_MAX {
            return Err(failure("there are too many listeners"));
        }
        let address: IpAddr = host
            .parse()
            .map_err(|_| failure("the host is not an address"))?;
        let port = u16::try_from(port).map_err(|_| failure("the port is out of bounds"))?;
        match Listener::bind(self.listener_count, SocketAddr::new(address, port)) {
            Ok(listener) => {
                let port = u32::from(listener.port);
                self.shared.send(Command::Listen(listener));
                self.listener_count += 1;
                Ok(Bound { port, errno: 0 })
            }
            Err(error) => Ok(Bound {
                port: 0,
                errno: error.raw_os_error().unwrap_or(libc::EINVAL),
            }),
        }
    }

    /// Queues bytes, which are copied; a `sent` event tells when they have gone. They may wait for `tell`.
    #[napi]
    pub fn write(&self, connection: f64, bytes: &[u8]) {
        self.shared
            .queue(Command::Write(connection as u64, bytes.to_vec()));
    }

    /// May wait for `tell`, too.
    #[napi]
    pub fn end(&self, connection: f64, is_kept_alive: bool) {
        self.shared
            .queue(Command::End(connection as u64, is_kept_alive));
    }

    /// Has the thread look at what waits.
    #[napi]
    pub fn tell(&self) {
        self.shared.tell();
    }

    /// Asks for the next piece of the request's body.
    #[napi]
    pub fn pull_body(&self, connection: f64) {
        self.shared.send(Command::PullBody(connection as u64));
    }

    #[napi]
    pub fn reset(&self, connection: f64) {
        self.shared.send(Command::Reset(connection as u64));
    }

    #[napi]
    pub fn put(&self, entry: EntryOptions) -> Result<()> {
        let [a, b, c] = entry.file_key[..] else {
            return Err(failure("a file key has three words"));
        };
        let now = Instant::now();
        let after = |ms: f64| {
            Duration::try_from_secs_f64(ms / 1000.0)
                .map(|time| now + time)
                .map_err(|_| failure("the time of freshness is out of bounds"))
        };
        let places = entry.pages.into_iter().map(|page| PagePlace {
            index: u64::from(page.index),
            path: page.path,
            offset: page.offset as u64,
            length: u64::from(page.length_bytes),
            checksums: page.checksums.to_vec(),
        });
        let window = entry.window.map(|window| Window {
            from: window.from as u64,
            to: window.to as u64,
        });
        let target = latin1_bytes(&entry.target)?;
        let key = match (window, cut_of(&target)) {
            (None, _) => Cow::Borrowed(&target[..]),
            (Some(_), Some((key, _))) => key,
            // Nobody could ask for it here.
            (Some(_), None) => return Ok(()),
        };
        let made = Entry::new(
            [a, b, c],
            entry.size_bytes as u64,
            u64::from(entry.page_size_bytes),
            after(entry.fresh_for_ms)?,
            after(entry.renew_in_ms)?,
            latin1_bytes(&entry.headers)?,
            latin1_bytes(&entry.body_headers)?,
            latin1_bytes(&entry.request_id_header)?,
            latin1_bytes(&entry.etag)?,
            window,
        );
        locked(&self.shared.table).put(entry.listener, &key, made, places.collect());
        Ok(())
    }

    /// Has requests for a target passed on to another worker.
    #[napi]
    pub fn put_route(&self, route: RouteOptions) -> Result<()> {
        let address: IpAddr = route
            .address
            .parse()
            .map_err(|_| failure("the peer is not an address"))?;
        let port = u16::try_from(route.port).map_err(|_| failure("the port is out of bounds"))?;
        let now = Instant::now();
        let fresh_for = Duration::try_from_secs_f64(route.fresh_for_ms / 1000.0)
            .map_err(|_| failure("the time of a route is out of bounds"))?;
        let made = Route {
            listener: route.listener,
            is_head: route.method == "HEAD",
            target: latin1_bytes(&route.target)?.into(),
            peer: SocketAddr::new(address, port),
            request: latin1_bytes(&route.request)?.into(),
            request_id_header: latin1_bytes(&route.request_id_header)?.into(),
            fresh_until: now + fresh_for,
        };
        locked(&self.shared.routes).put(made, now);
        Ok(())
    }

    /// No answer that begins after these return is of what they name.
    #[napi]
    pub fn drop_file(&self, file_key: Vec<u32>) -> Result<()> {
        let [a, b, c] = file_key[..] else {
            return Err(failure("a file key has three words"));
        };
        locked(&self.shared.table).drop_file([a, b, c]);
        Ok(())
    }

    #[napi]
    pub fn drop_segment(&self, path: String) {
        locked(&self.shared.table).drop_segment(&path);
    }

    /// Somebody is about to read these bytes of a segment: from the disk comes what nobody has checked.
    #[napi]
    pub fn before_read(&self, path: String, offset: f64, length_bytes: f64) {
        locked(&self.shared.table).forget_checks(&path, offset as u64, length_bytes as u64);
    }

    #[napi]
    pub fn drop_all(&self) {
        locked(&self.shared.table).drop_all();
        self.drop_routes();
    }

    #[napi]
    pub fn drop_routes(&self) {
        locked(&self.shared.routes).drop_all();
    }

    /// What the table has answered on a listener since the last call: for each kind of answer, those that were complete and then the others, the counts of all
    /// buckets and the sum of their times in microseconds; then the bytes of bodies, how many answers of
    /// other workers were passed on, and their bytes.
    #[napi]
    pub fn take_counts(&self, listener: u32) -> Vec<f64> {
        let Some(counts) = self.shared.counts.get(listener as usize) else {
            return Vec::new();
        };
        let calls = counts.calls.iter().flatten();
        let times = calls.flat_map(|call| call.buckets.iter().chain([&call.sum_us]));
        let rest = [&counts.body_bytes, &counts.relayed, &counts.relayed_bytes];
        times
            .chain(rest)
            .map(|count| count.swap(0, Ordering::Relaxed) as f64)
            .collect()
    }

    /// Pages that the table's answers used since they were taken last, at most so many: the three words of the file's key, index, length and the number of uses of each.
    #[napi]
    pub fn take_page_uses(&self, count_max: u32) -> Uint32Array {
        let taken = self.shared.uses.take_pages(count_max as usize);
        let words = taken.iter().flat_map(|(page, count)| {
            let [a, b, c] = page.file;
            [a, b, c, page.index as u32, page.length as u32, *count]
        });
        words.collect::<Vec<_>>().into()
    }

    /// The answers of the table, and those of other workers that were passed on, that are over since the last call.
    #[napi]
    pub fn take_lines(&self) -> Vec<AnsweredLine> {
        let lines = self.shared.uses.take_lines().into_iter();
        lines
            .map(|line| AnsweredLine {
                listener: line.listener,
                is_head: line.is_head,
                status: line.status,
                target: latin1(&line.target),
                outcome: latin1(&line.outcome),
                request_id: request_id(&self.id_prefix, line.sequence),
                sent_bytes: line.sent_bytes as f64,
                duration_ms: line.time.as_secs_f64() * 1000.0,
                remote_address: line
                    .remote
                    .map_or_else(String::new, |address| address.to_string()),
                is_complete: line.is_complete,
            })
            .collect()
    }

    /// How many uses and lines found no room, since the start.
    #[napi]
    pub fn dropped_count(&self) -> f64 {
        self.shared.uses.dropped_count.load(Ordering::Relaxed) as f64
    }

    /// Whether it is to be counted how late the thread comes.
    #[napi]
    pub fn watch_delays(&self, is_watched: bool) {
        self.shared.send(Command::WatchDelays(is_watched));
    }

    /// Whether what is late from now on is so beside work that may be the reason.
    #[napi]
    pub fn mark_delays(&self, is_beside: bool) {
        self.shared.delays.mark(is_beside);
    }

    /// How late the thread came since the last call, a count a millisecond: those of all buckets without that work, then those beside it.
    #[napi]
    pub fn take_delays(&self) -> Uint32Array {
        self.shared.delays.take().into()
    }

    /// Stops accepting and closes what is idle; an event tells when the last connection has gone.
    #[napi]
    pub fn drain(&self) {
        self.shared.send(Command::Drain);
    }

    /// Resets what is left and ends the thread. No event comes after.
    #[napi]
    pub fn stop(&mut self) {
        self.shared.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Drop for Hotpath {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Puts the checksum of each block where they are wanted, from the first place on.
#[napi]
pub fn checksum_blocks(bytes: &[u8], mut checksums: Uint32ArraySlice<'_>) {
    // SAFETY: TypeScript made the array for this call, and no other thread has it.
    let places = unsafe { checksums.as_mut() };
    for (place, checksum) in places.iter_mut().zip(checksums_of(bytes)) {
        *place = checksum;
    }
}

/// Whether every block has the checksum that stands at its place, from `first` on; false where one has none.
#[napi(js_name = "blocksMatch")]
pub fn blocks_match_from(bytes: &[u8], checksums: &[u32], first: u32) -> bool {
    let expected = checksums.get(first as usize..);
    expected.is_some_and(|expected| blocks_match(bytes, expected))
}

/// Of each range of a file, three numbers each as `FileCheck::new` has them: 0 when its bytes have the checksums, one a block, -1 when they have not, else the errno that reading failed with. The descriptor must stay open until then.
#[napi]
pub fn check_file(fd: i32, ranges: &[f64], checksums: &[u32]) -> AsyncTask<FileCheck> {
    AsyncTask::new(FileCheck::new(fd, ranges, checksums))
}

/// From the disk comes no more than what is asked for by this descriptor.
#[napi]
pub fn read_no_further(fd: i32) {
    // SAFETY: no memory is passed.
    unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_RANDOM) };
}

/// By which TypeScript knows that it was built of the same sources.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// A process whose sockets nobody serves any more would only look alive: whoever started it starts it again when it has ended.
struct EndsWithItsThread;

impl Drop for EndsWithItsThread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the thread of the hotpath transport failed, and the process ends with it; alluxio.worker.transport=plain does without it");
            std::process::abort();
        }
    }
}

/// Of an answer that the table gave.
fn request_id(prefix: &str, sequence: u64) -> String {
    let mut id = Vec::new();
    push_id(&mut id, prefix, sequence);
    String::from_utf8(id).unwrap_or_default()
}

/// A panic of another thread leaves nothing half done that would matter here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Strings come and go as Node has them in HTTP: one character a byte.
fn latin1_bytes(text: &str) -> Result<Vec<u8>> {
    let bytes = text
        .chars()
        .map(|character| u8::try_from(u32::from(character)));
    bytes
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| failure("a character is not a byte"))
}

fn failure(what: &str) -> Error {
    Error::from_reason(what)
}
