//! How the kernel shares the processor with the thread that owns the sockets. It has little to do for each answer and somebody waits for it, so it asks for
//! short turns: where a thread with longer ones runs, a fill or the storage's own server, it is then let in at once instead of after the other's turn.
//! That takes no right, and it gets no more of the processor for it. Linux from 6.12 on heeds it (EEVDF, PREEMPT_SHORT; man 2 sched_setattr).

/// The shortest that the kernel takes. A hit of 4 KiB takes 7 µs, one of 100 KiB some 40.
const TURN_NS: u64 = 100_000;

/// The first version of the kernel's `struct sched_attr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// For the calling thread. False where the system does not take it; one that somebody gave another policy keeps it.
pub fn ask_for_short_turns() -> bool {
    let Some(mut attributes) = attributes() else {
        return false;
    };
    if attributes.policy != libc::SCHED_OTHER as u32 {
        return false;
    }
    attributes.runtime = TURN_NS;
    // SAFETY: the structure is as large as it says, and outlives the call. 0 is the calling thread.
    let status = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    status == 0
}

fn attributes() -> Option<Attributes> {
    let mut attributes = Attributes::default();
    let size = size_of::<Attributes>() as u32;
    // SAFETY: the call writes at most as many bytes as it is told.
    let status = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    attributes.size = size;
    (status == 0).then_some(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_short_turns_and_its_nice_value_after_it_asked() {
        let before = attributes().expect("the attributes of a thread");
        let asked = std::thread::spawn(|| (ask_for_short_turns(), attributes()));
        let (is_taken, after) = asked.join().expect("the thread");
        let after = after.expect("the attributes of a thread");
        assert!(is_taken);
        assert_eq!((after.policy, after.nice), (before.policy, before.nice));
        // Older kernels take it and forget it.
        assert!(after.runtime == TURN_NS || after.runtime == before.runtime);
    }
}
