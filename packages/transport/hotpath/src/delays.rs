//! How late the thread that owns the sockets comes to what is due: a timer is due every millisecond, as if somebody asked for something then. What keeps the
//! thread from it, work of its own, other threads, other processes or the machine, keeps it from its clients as long.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::shared::owned;

const INTERVAL: Duration = Duration::from_millis(1);
/// However long the thread was kept away at once, it counts for so many: the machine stands still now and then, for long, and that says little of the rest of the time.
const AT_ONCE_MAX: u64 = 5;
/// Of the first bucket, up to which nothing is told apart.
const FIRST_BOUND_US: f64 = 62.5;
/// Each bound is so many to the doubled one.
const PER_DOUBLING: f64 = 4.0;
/// The last is for what took a quarter of a second and more.
pub const BUCKETS: usize = 50;

/// What TypeScript takes, and what it says of the time.
pub struct Delays {
    is_beside: AtomicBool,
    alone: [AtomicU32; BUCKETS],
    beside: [AtomicU32; BUCKETS],
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            is_beside: AtomicBool::new(false),
            alone: [const { AtomicU32::new(0) }; BUCKETS],
            beside: [const { AtomicU32::new(0) }; BUCKETS],
        }
    }
}

impl Delays {
    /// Whether what is late from now on is so beside work that may be the reason.
    pub fn mark(&self, is_beside: bool) {
        self.is_beside.store(is_beside, Ordering::Relaxed);
    }

    /// Counts by bucket since the last call, without that work and then beside it.
    pub fn take(&self) -> Vec<u32> {
        let counts = self.alone.iter().chain(&self.beside);
        counts
            .map(|count| count.swap(0, Ordering::Relaxed))
            .collect()
    }

    fn count(&self, is_beside: bool, delay: Duration) {
        let counts = if is_beside { &self.beside } else { &self.alone };
        counts[bucket_of(delay)].fetch_add(1, Ordering::Relaxed);
    }
}

fn bucket_of(delay: Duration) -> usize {
    let doublings = (delay.as_secs_f64() * 1e6 / FIRST_BOUND_US).log2();
    // What is below nought is taken for nought.
    let bucket = (doublings * PER_DOUBLING).ceil() as usize;
    bucket.min(BUCKETS - 1)
}

/// The timer, on the thread's side.
pub struct DelayTimer {
    timer: OwnedFd,
    due: Instant,
    was_beside: bool,
}

impl DelayTimer {
    pub fn start() -> std::io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no memory is passed.
        let timer = owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        let interval = libc::timespec {
            tv_sec: 0,
            tv_nsec: INTERVAL.as_nanos() as i64,
        };
        let times = libc::itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        let due = Instant::now() + INTERVAL;
        // SAFETY: the structure outlives the call, and the old times are not asked for.
        let status =
            unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &times, std::ptr::null_mut()) };
        if status < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Self {
            timer,
            due,
            was_beside: false,
        })
    }

    pub fn fd(&self) -> RawFd {
        self.timer.as_raw_fd()
    }

    /// Counts how late everything is that was due since the last time.
    pub fn count(&mut self, delays: &Delays) {
        let mut expired = [0_u8; 8];
        // SAFETY: eight bytes of this frame.
        let length = unsafe {
            libc::read(
                self.timer.as_raw_fd(),
                expired.as_mut_ptr().cast(),
                expired.len(),
            )
        };
        if length < 0 {
            return;
        }
        let now = Instant::now();
        let is_beside = delays.is_beside.load(Ordering::Relaxed);
        // What was late may be so for work that is over now.
        let was_beside = std::mem::replace(&mut self.was_beside, is_beside);
        let count = u64::from_ne_bytes(expired);
        for index in 0..count.min(AT_ONCE_MAX) {
            let due = self.due + INTERVAL * index as u32;
            delays.count(is_beside || was_beside, now.saturating_duration_since(due));
        }
        self.due += INTERVAL * u32::try_from(count).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_counted_up_to_the_bound_that_it_does_not_exceed() {
        let us = Duration::from_micros;
        for (delay, bucket) in [
            (us(0), 0),
            (us(62), 0),
            (us(63), 1),
            (us(125), 4),
            (us(126), 5),
            (us(500), 12),
            (us(1000), 16),
            (us(10_000_000), BUCKETS - 1),
        ] {
            assert_eq!(bucket_of(delay), bucket, "{delay:?}");
        }
    }

    #[test]
    fn whoever_comes_late_has_been_late_for_each_millisecond_up_to_some() {
        let delays = Delays::default();
        let mut timer = DelayTimer::start().expect("a timer");
        let late = |counts: &[u32], ms: u64| {
            let from = bucket_of(Duration::from_millis(ms));
            counts[from..].iter().sum::<u32>()
        };
        std::thread::sleep(Duration::from_millis(4));
        timer.count(&delays);
        let counts = delays.take();
        assert!((3..=5).contains(&late(&counts, 0)), "{counts:?}");
        assert_eq!(late(&counts[BUCKETS..], 0), 0);
        assert_eq!(late(&delays.take(), 0), 0, "taken once");
        std::thread::sleep(Duration::from_millis(40));
        timer.count(&delays);
        let counts = delays.take();
        assert_eq!((late(&counts, 0), late(&counts, 30)), (5, 5), "the first");
        std::thread::sleep(Duration::from_millis(1));
        timer.count(&delays);
        assert_eq!(late(&delays.take(), 30), 0, "in time again");
    }

    #[test]
    fn what_is_due_beside_work_is_counted_so_and_what_comes_right_after_too() {
        let delays = Delays::default();
        let mut timer = DelayTimer::start().expect("a timer");
        let mut beside_after = |is_beside: bool| {
            delays.mark(is_beside);
            std::thread::sleep(Duration::from_millis(3));
            timer.count(&delays);
            delays.take()[BUCKETS..].iter().sum::<u32>() > 0
        };
        assert!(!beside_after(false));
        assert!(beside_after(true));
        assert!(beside_after(false));
        assert!(!beside_after(false));
    }
}
