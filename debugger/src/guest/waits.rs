//! What a sleeping task waits for, by the functions on its stack.

use crate::symbols::Symbol;

/// Functions of the scheduler and of waiting as such: what called them is the reason.
const WAITING: [&str; 24] = [
    "__switch_to_asm",
    "__switch_to",
    "__schedule",
    "schedule",
    "schedule_timeout",
    "schedule_timeout_interruptible",
    "schedule_timeout_uninterruptible",
    "schedule_timeout_idle",
    "schedule_hrtimeout_range",
    "schedule_hrtimeout_range_clock",
    "schedule_preempt_disabled",
    "preempt_schedule",
    "preempt_schedule_common",
    "preempt_schedule_irq",
    "preempt_schedule_thunk",
    "__cond_resched",
    "io_schedule",
    "io_schedule_timeout",
    "wait_woken",
    "wait_for_completion",
    "do_wait_intr",
    "__wait_for_common",
    "context_switch",
    "finish_task_switch",
];

/// What these wait for, by the beginning of their names; the first that fits.
const REASONS: [(&str, &str); 38] = [
    (
        "futex_",
        "a futex: a mutex, a condition variable or a joined thread",
    ),
    (
        "do_futex",
        "a futex: a mutex, a condition variable or a joined thread",
    ),
    ("do_nanosleep", "time to pass"),
    ("hrtimer_nanosleep", "time to pass"),
    ("msleep", "time to pass"),
    ("ep_poll", "an event of its epoll set"),
    ("do_epoll", "an event of its epoll set"),
    ("do_sys_poll", "an event of its poll set"),
    ("do_poll", "an event of its poll set"),
    ("do_select", "an event of its select set"),
    ("poll_schedule", "an event of its poll or select set"),
    ("pipe_", "a pipe"),
    ("anon_pipe_", "a pipe"),
    ("unix_", "a Unix socket"),
    ("sk_wait_data", "data on a socket"),
    ("tcp_", "a TCP connection"),
    ("inet_csk_accept", "a connection to accept"),
    ("inet_csk_wait", "a connection to accept"),
    ("__skb_wait", "a packet on a socket"),
    ("sk_stream_wait", "room on a socket"),
    ("do_wait", "a child process"),
    ("kernel_wait", "a child process"),
    ("sigsuspend", "a signal"),
    ("do_sigtimedwait", "a signal"),
    ("__do_sys_pause", "a signal"),
    ("do_signal_stop", "a signal to go on"),
    ("n_tty_read", "input from its terminal"),
    ("worker_thread", "work of a work queue"),
    ("rescuer_thread", "work of a work queue"),
    ("smpboot_thread_fn", "the next wake-up of its per-CPU job"),
    ("rcu_", "RCU: callbacks or a grace period"),
    ("kthreadd", "a kernel thread to create"),
    ("kthread_worker_fn", "work of a kernel thread's queue"),
    ("kswapd", "memory to run short"),
    ("kcompactd", "memory to compact"),
    ("rwsem_", "a semaphore held by another"),
    ("__mutex_lock", "a mutex of the kernel held by another"),
    ("folio_wait", "a page of a file"),
];

/// Whether a frame in this function says nothing of why the task waits.
#[must_use]
pub fn is_scheduler(symbol: &Symbol<'_>) -> bool {
    let name = symbol.name.split('.').next().unwrap_or(symbol.name);
    WAITING.contains(&name)
}

/// In words.
#[must_use]
pub fn waits_for(function: &str) -> Option<&'static str> {
    let found = REASONS.iter().find(|(name, _)| function.starts_with(name));
    found.map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_in_words() {
        assert_eq!(waits_for("do_nanosleep"), Some("time to pass"));
        assert!(waits_for("futex_wait_queue").unwrap().contains("futex"));
        assert_eq!(waits_for("vfs_read"), None);
    }
}
