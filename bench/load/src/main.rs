//! The benchmark's load: `make` writes the objects, `run` asks for them over keep-alive connections from one thread, checks each
//! head and the bytes of a sample, and prints one line of JSON. Nothing but requests and a copy of each byte, so that it needs less
//! of its core than any server of its own.

mod connection;
mod content;
mod latency;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use connection::{Connection, Place, Wanted};
use content::Random;
use latency::Latencies;

const BUFFER_BYTES: usize = 256 * 1024;
/// A server that says nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("make") => make(&options_of(&arguments[1..])),
        Some("run") => run(&options_of(&arguments[1..])),
        _ => Err("say make or run".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("load: {message}");
            ExitCode::FAILURE
        }
    }
}

/// `--name value` pairs.
type Options = HashMap<String, String>;

fn options_of(arguments: &[String]) -> Options {
    let pairs = arguments.chunks(2);
    pairs
        .map(|pair| {
            let name = pair[0].trim_start_matches('-').to_owned();
            (name, pair.get(1).cloned().unwrap_or_default())
        })
        .collect()
}

fn text_of<'a>(options: &'a Options, name: &str) -> Result<&'a str, String> {
    let value = options.get(name).map(String::as_str);
    value.ok_or_else(|| format!("--{name} is missing"))
}

fn number_of(options: &Options, name: &str) -> Result<u64, String> {
    let text = text_of(options, name)?;
    text.parse()
        .map_err(|_| format!("--{name} {text} is not a number"))
}

fn object_name(prefix: &str, index: u64) -> String {
    format!("{prefix}-{index}.bin")
}

fn make(options: &Options) -> Result<(), String> {
    let folder = Path::new(text_of(options, "dir")?);
    let prefix = text_of(options, "prefix")?;
    let size = number_of(options, "size")?;
    for index in 0..number_of(options, "count")? {
        let name = object_name(prefix, index);
        content::write_object(folder, &name, size)
            .map_err(|error| format!("{}: {error}", folder.join(&name).display()))?;
    }
    Ok(())
}

/// What the run asks for: pieces of `request` bytes at multiples of it, or whole objects where that is 0.
struct Workload<'a> {
    prefix: &'a str,
    count: u64,
    size: u64,
    request: u64,
    verify_every: u64,
    /// Every object once, in order, instead of any at random.
    is_sweep: bool,
    random: Random,
    asked: u64,
}

impl Workload<'_> {
    fn next(&mut self) -> Option<Wanted> {
        if self.is_sweep && self.asked == self.count {
            return None;
        }
        let object = if self.is_sweep {
            self.asked
        } else {
            self.random.below(self.count)
        };
        let (from, to) = match self.size.checked_div(self.request) {
            None => (0, self.size),
            Some(pieces) => {
                let from = self.random.below(pieces) * self.request;
                (from, from + self.request)
            }
        };
        self.asked += 1;
        Some(Wanted {
            name: object_name(self.prefix, object),
            size: self.size,
            from,
            to,
            is_piece: false,
            is_verified: self.asked.is_multiple_of(self.verify_every),
        })
    }
}

#[derive(Default)]
struct Totals {
    requests: u64,
    bytes: u64,
    verified: u64,
}

/// SIGTERM ends a run as its time would: what is under way is waited for.
static IS_ENDED: AtomicBool = AtomicBool::new(false);

extern "C" fn end(_signal: libc::c_int) {
    IS_ENDED.store(true, Ordering::Relaxed);
}

fn run(options: &Options) -> Result<(), String> {
    // SAFETY: the handler does nothing but store a flag.
    unsafe { libc::signal(libc::SIGTERM, end as *const () as libc::sighandler_t) };
    let address: SocketAddr = text_of(options, "address")?
        .parse()
        .map_err(|error| format!("--address: {error}"))?;
    let place = match text_of(options, "pages")? {
        "" => Place::Folder(text_of(options, "folder")?.to_owned()),
        root => Place::Pages(root.to_owned()),
    };
    let duration = Duration::from_millis(number_of(options, "ms")?);
    let mut workload = Workload {
        prefix: text_of(options, "prefix")?,
        count: number_of(options, "count")?,
        size: number_of(options, "size")?,
        request: number_of(options, "request")?,
        verify_every: number_of(options, "verify-every")?.max(1),
        // A run of no duration asks for every object once.
        is_sweep: duration.is_zero(),
        random: Random::new(number_of(options, "seed")?),
        asked: 0,
    };
    let is_fresh = number_of(options, "fresh")? == 1;
    let rate = number_of(options, "rate")?;
    let sleeps = number_of(options, "sleeps")? == 1;
    let mut connections = Vec::new();
    for _ in 0..number_of(options, "connections")? {
        let connection = Connection::open(address, is_fresh);
        connections.push(connection.map_err(|error| format!("{address}: {error}"))?);
    }
    let poll = Poll::new(&connections).map_err(|error| format!("epoll: {error}"))?;
    let mut totals = Totals::default();
    let mut latencies = Latencies::new();
    let mut delays = Latencies::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let start = Instant::now();
    let mut schedule = Schedule {
        start,
        rate,
        sent: 0,
    };
    // In turns, so that none is idle for long enough to be closed.
    let mut idle: VecDeque<usize> = (0..connections.len()).collect();
    let mut is_over = false;
    loop {
        while let Some(due) = schedule.due().filter(|_| !is_over && !idle.is_empty()) {
            let Some(wanted) = workload.next() else {
                is_over = true;
                break;
            };
            let index = idle.pop_front().unwrap_or_default();
            schedule.sent += 1;
            delays.record(due.elapsed().as_nanos() as u64);
            connections[index]
                .send(&place, wanted, due)
                .map_err(|error| format!("cannot send: {error}"))?;
        }
        if is_over && idle.len() == connections.len() {
            break;
        }
        let patience = if rate == 0 || is_over {
            Patience::UntilSilent
        } else if sleeps {
            Patience::For(schedule.left())
        } else {
            // There is nothing to sleep for: the core is this process's own.
            Patience::For(Duration::ZERO)
        };
        for index in poll.wait(patience)? {
            let connection = &mut connections[index];
            let Some(answer) = connection.receive(&mut buffer)? else {
                continue;
            };
            totals.requests += 1;
            totals.bytes += answer.body_bytes;
            totals.verified += u64::from(answer.is_verified);
            latencies.record(answer.latency_ns);
            if connection.is_fresh() {
                connection
                    .renew()
                    .and_then(|()| poll.add(index, connection))
                    .map_err(|error| format!("cannot connect again: {error}"))?;
            }
            idle.push_back(index);
        }
        is_over = is_over
            || IS_ENDED.load(Ordering::Relaxed)
            || (!workload.is_sweep && start.elapsed() >= duration);
    }
    print(&totals, &latencies, &delays, start.elapsed());
    Ok(())
}

/// When requests begin: as soon as a connection is free, or so many a second, whether earlier ones have been answered or not.
struct Schedule {
    start: Instant,
    /// A second; 0 for as many as possible.
    rate: u64,
    sent: u64,
}

impl Schedule {
    /// The time of the next request, if it has come.
    fn due(&self) -> Option<Instant> {
        let now = Instant::now();
        if self.rate == 0 {
            return Some(now);
        }
        let due = self.next();
        (due <= now).then_some(due)
    }

    fn next(&self) -> Instant {
        self.start + Duration::from_nanos(self.sent * 1_000_000_000 / self.rate)
    }

    /// Until the next request.
    fn left(&self) -> Duration {
        self.next().saturating_duration_since(Instant::now())
    }
}

/// `late99Us` is how late this process itself came to send what was due.
fn print(totals: &Totals, latencies: &Latencies, delays: &Latencies, wall: Duration) {
    println!(
        "{{\"requests\":{},\"bytes\":{},\"verified\":{},\"wallSeconds\":{:.6},\"cpuSeconds\":{:.6},\"p50Us\":{:.1},\"p99Us\":{:.1},\"late99Us\":{:.1}}}",
        totals.requests,
        totals.bytes,
        totals.verified,
        wall.as_secs_f64(),
        own_cpu_seconds(),
        latencies.quantile_ns(0.5) as f64 / 1000.0,
        latencies.quantile_ns(0.99) as f64 / 1000.0,
        delays.quantile_ns(0.99) as f64 / 1000.0,
    );
}

fn own_cpu_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of this frame.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// How long to wait for events.
enum Patience {
    UntilSilent,
    For(Duration),
}

/// Level-triggered epoll over all connections; an event carries the index of its connection.
struct Poll {
    fd: libc::c_int,
}

const EVENTS_MAX: usize = 64;

impl Poll {
    fn new(connections: &[Connection]) -> std::io::Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let poll = Self { fd };
        for (index, connection) in connections.iter().enumerate() {
            poll.add(index, connection)?;
        }
        Ok(poll)
    }

    fn add(&self, index: usize, connection: &Connection) -> std::io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: index as u64,
        };
        // SAFETY: both descriptors are open, the event outlives the call.
        let outcome =
            unsafe { libc::epoll_ctl(self.fd, libc::EPOLL_CTL_ADD, connection.fd(), &mut event) };
        if outcome < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    }

    /// There may be none within some time; that there are none at all is a failure.
    fn wait(&self, patience: Patience) -> Result<impl Iterator<Item = usize>, String> {
        let (time, is_failing) = match patience {
            Patience::UntilSilent => (SILENCE_MAX, true),
            Patience::For(time) => (time, false),
        };
        let timeout = libc::timespec {
            tv_sec: time.as_secs() as libc::time_t,
            tv_nsec: time.subsec_nanos().into(),
        };
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
        // SAFETY: the array has room for as many events as are asked for; the time outlives the call.
        let count = unsafe {
            libc::epoll_pwait2(
                self.fd,
                events.as_mut_ptr(),
                EVENTS_MAX as i32,
                &timeout,
                std::ptr::null(),
            )
        };
        if count == 0 && is_failing {
            return Err(format!("the server has been silent for {SILENCE_MAX:?}"));
        }
        // An interrupted wait has no events.
        let count = usize::try_from(count).unwrap_or(0);
        Ok(events
            .into_iter()
            .take(count)
            .map(|event| event.u64 as usize))
    }
}
