//! The threads that wait for disks, so that the one with the sockets does not: they read blocks, check them, and say so.

use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::{Arc, Mutex};

use crate::locked;
use crate::page::Check;
use crate::shared::{Command, Shared};

const THREAD_COUNT: usize = 4;
/// What waits for a thread; who finds no room asks TypeScript.
const QUEUE_MAX: usize = 256;

struct Job {
    connection: u64,
    number: u64,
    check: Check,
}

pub struct Checker {
    queue: SyncSender<Job>,
}

impl Checker {
    /// The threads end when this goes and they have nothing more to do. Nobody waits for one that hangs on a disk.
    pub fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..THREAD_COUNT {
            let (jobs, shared) = (Arc::clone(&jobs), Arc::clone(shared));
            std::thread::Builder::new()
                .name("hotpath-check".to_owned())
                .spawn(move || work(&jobs, &shared))?;
        }
        Ok(Self { queue })
    }

    /// `Command::Checked` with both numbers tells how it went; false when there is no room.
    pub fn submit(&self, connection: u64, number: u64, check: Check) -> bool {
        let job = Job {
            connection,
            number,
            check,
        };
        self.queue.try_send(job).is_ok()
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, shared: &Shared) {
    let mut buffer = Vec::new();
    loop {
        let next = locked(jobs).recv();
        let Ok(job) = next else {
            return;
        };
        let is_good = job.check.run(&mut buffer);
        shared.send(Command::Checked(job.connection, job.number, is_good));
    }
}
