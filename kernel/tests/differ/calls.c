// SPDX-License-Identifier: MIT OR Apache-2.0
/* The calls that tuples are drawn from, and those that none may make. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include "differ.h"

#define CALL(name, arguments, flags) { SYS_##name, #name, arguments, flags }

const struct call calls[] = {
	/* Files. */
	CALL(read, "fOn", PLAIN), CALL(write, "fOn", PLAIN), CALL(pread64, "fOno", PLAIN), CALL(pwrite64, "fOno", PLAIN),
	CALL(readv, "fvi", PLAIN), CALL(writev, "fvi", PLAIN), CALL(preadv, "fvio1", PLAIN), CALL(pwritev, "fvio1", PLAIN),
	CALL(open, "Pgi", PLAIN), CALL(openat, "dPgi", PLAIN), CALL(close, "f", PLAIN), CALL(lseek, "foi", PLAIN),
	CALL(stat, "PO", TIMED), CALL(lstat, "PO", TIMED), CALL(fstat, "fO", TIMED), CALL(newfstatat, "dPO1", TIMED),
	CALL(statx, "dP11O", TIMED), CALL(access, "Pi", PLAIN), CALL(faccessat, "dPi", PLAIN), CALL(ftruncate, "fo", PLAIN),
	CALL(truncate, "Po", PLAIN), CALL(fsync, "f", PLAIN), CALL(fdatasync, "f", PLAIN), CALL(dup, "f", PLAIN),
	CALL(dup2, "ff", PLAIN), CALL(dup3, "ffg", PLAIN), CALL(fcntl, "fii", PROCESS), CALL(fcntl, "fiO", PROCESS),
	CALL(flock, "fi", BLOCKS), CALL(mkdir, "Pi", PLAIN), CALL(rmdir, "P", PLAIN), CALL(unlink, "P", PLAIN),
	CALL(unlinkat, "dP1", PLAIN), CALL(rename, "PP", PLAIN), CALL(link, "PP", PLAIN), CALL(symlink, "PP", PLAIN),
	CALL(readlink, "POs", PLAIN), CALL(chmod, "Pi", PLAIN), CALL(fchmod, "fi", PLAIN), CALL(getdents64, "fOn", TIMED),
	CALL(getcwd, "Os", PLAIN), CALL(chdir, "P", PLAIN), CALL(fchdir, "f", PLAIN), CALL(umask, "i", PLAIN),
	CALL(sendfile, "ffZs", PLAIN), CALL(splice, "fZfZsg", BLOCKS), CALL(copy_file_range, "fZfZs1", PLAIN), CALL(utimensat, "dPT1", PLAIN),
	CALL(statfs, "PO", TIMED), CALL(fallocate, "f1oo", PLAIN),
	/* Pipes, events, timers. */
	CALL(pipe, "O", PLAIN), CALL(pipe2, "Og", PLAIN), CALL(eventfd2, "ig", PLAIN), CALL(timerfd_create, "ig", PLAIN),
	CALL(timerfd_settime, "f1TO", TIMED), CALL(timerfd_gettime, "fO", TIMED), CALL(signalfd4, "fMsg", PLAIN),
	CALL(epoll_create1, "g", PLAIN), CALL(epoll_ctl, "fifE", PLAIN), CALL(epoll_wait, "fOit", BLOCKS),
	CALL(epoll_pwait, "fOitMs", BLOCKS), CALL(poll, "Lit", BLOCKS), CALL(ppoll, "LiTMs", BLOCKS | TIMED),
	CALL(select, "iDDDV", BLOCKS | TIMED), CALL(pselect6, "iDDDTz", BLOCKS | TIMED),
	/* Sockets. */
	CALL(socket, "iii", PLAIN), CALL(socketpair, "iiiO", PLAIN), CALL(bind, "fas", PLAIN), CALL(connect, "fas", BLOCKS),
	CALL(listen, "fi", PLAIN), CALL(accept, "fOl", BLOCKS), CALL(accept4, "fOlg", BLOCKS), CALL(getsockname, "fOl", PLAIN),
	CALL(getpeername, "fOl", PLAIN), CALL(sendto, "fOngas", BLOCKS), CALL(recvfrom, "fOngOl", BLOCKS),
	CALL(sendmsg, "fmg", BLOCKS), CALL(recvmsg, "fmg", BLOCKS), CALL(shutdown, "fi", PLAIN), CALL(setsockopt, "f1iOs", PLAIN),
	CALL(setsockopt, "fiiOs", PLAIN), CALL(getsockopt, "fiiOl", TIMED), CALL(ioctl, "fxO", PLAIN),
	/* Memory. */
	CALL(mmap, "Gkigfo", ADDRESS), CALL(mmap, "zkigfz", ADDRESS), CALL(mprotect, "Gki", PLAIN), CALL(munmap, "Gk", PLAIN),
	CALL(mremap, "GkkiG", ADDRESS), CALL(madvise, "Gki", PLAIN), CALL(mincore, "GkO", PLAIN), CALL(msync, "Gki", PLAIN),
	CALL(mlock, "Gk", PLAIN), CALL(munlock, "Gk", PLAIN), CALL(brk, "z", ADDRESS),
	/* Signals. */
	CALL(rt_sigaction, "iAOs", PLAIN), CALL(rt_sigprocmask, "iMOs", PLAIN), CALL(rt_sigpending, "Os", PLAIN),
	CALL(rt_sigtimedwait, "MOTs", BLOCKS), CALL(rt_sigqueueinfo, "piO", PLAIN), CALL(sigaltstack, "SO", PLAIN),
	CALL(kill, "pi", PLAIN), CALL(tkill, "pi", PLAIN), CALL(tgkill, "ppi", PLAIN), CALL(rt_sigsuspend, "Ms", BLOCKS),
	/* Time. */
	CALL(clock_gettime, "iO", TIMED), CALL(clock_getres, "iO", PLAIN), CALL(gettimeofday, "OO", TIMED), CALL(time, "O", TIMED | SIGN),
	CALL(nanosleep, "TO", BLOCKS | TIMED), CALL(clock_nanosleep, "i1TO", BLOCKS | TIMED), CALL(getitimer, "iO", TIMED),
	CALL(timer_create, "iOO", PLAIN), CALL(timer_delete, "i", PLAIN), CALL(timer_gettime, "iO", PLAIN), CALL(alarm, "z", PLAIN),
	CALL(times, "O", TIMED | SIGN),
	/* Locks. */
	CALL(futex, "wiiTOi", BLOCKS), CALL(futex, "w1iT", BLOCKS), CALL(set_robust_list, "Os", PLAIN), CALL(get_robust_list, "pOO", TIMED),
	/* Processes. */
	CALL(getpid, "", PROCESS), CALL(getppid, "", PROCESS), CALL(gettid, "", PROCESS), CALL(getpgid, "p", PROCESS),
	CALL(getsid, "p", TIMED | SIGN), CALL(setpgid, "pp", PLAIN), CALL(getuid, "", PLAIN), CALL(geteuid, "", PLAIN),
	CALL(getgid, "", PLAIN), CALL(getresuid, "OOO", PLAIN), CALL(getgroups, "iO", PLAIN), CALL(setuid, "i", PLAIN),
	CALL(wait4, "pOiO", BLOCKS), CALL(waitid, "ipOgO", BLOCKS), CALL(getrusage, "iO", TIMED), CALL(getrlimit, "iO", PLAIN),
	CALL(prlimit64, "piRO", PLAIN), CALL(getpriority, "ip", PLAIN), CALL(prctl, "iiiii", TIMED | SIGN), CALL(uname, "O", PLAIN),
	CALL(sysinfo, "O", TIMED), CALL(getrandom, "Osg", TIMED), CALL(getcpu, "OOz", TIMED), CALL(sched_yield, "", PLAIN),
	CALL(sched_getaffinity, "psO", PLAIN), CALL(sched_setaffinity, "psO", PLAIN), CALL(sched_getscheduler, "p", PLAIN),
	CALL(capget, "OO", PLAIN), CALL(set_tid_address, "O", PROCESS), CALL(membarrier, "iii", PLAIN),
	/* No such call. */
	{ 335, "none", "xxxxxx", PLAIN }, { 999, "none", "xxxxxx", PLAIN }, { -1, "none", "xxxxxx", PLAIN },
	{ 0x40000000, "none", "xxxxxx", PLAIN }, { 1L << 40, "none", "xxxxxx", PLAIN },
};

const size_t call_count = sizeof calls / sizeof *calls;

const struct excluded excluded[] = {
	{ SYS_reboot, "ends the machine" }, { SYS_kexec_load, "replaces the kernel" },
	{ SYS_exit, "ends the tuple without an answer; posix/processes" }, { SYS_exit_group, "as exit" },
	{ SYS_fork, "a second process without a judge; posix/processes" }, { SYS_vfork, "as fork; posix/exec" },
	{ SYS_clone, "as fork; posix/threads" }, { SYS_clone3, "as clone" },
	{ SYS_execve, "ends the program that would tell; posix/exec" }, { SYS_execveat, "as execve" },
	{ SYS_rt_sigreturn, "takes its frame from the stack; posix/frames" },
	{ SYS_restart_syscall, "the kernel's own; posix/signals" },
	{ SYS_arch_prctl, "moves the C library's thread-local data" }, { SYS_modify_ldt, "no LDT selector is of use in ring 0" },
	{ SYS_iopl, "ring 0 needs no leave" }, { SYS_ioperm, "ring 0 needs no leave" },
	{ SYS_ptrace, "stops the process for a tracer that is not there" }, { SYS_pause, "never returns; posix/signals" },
	{ SYS_setitimer, "its signals come at another instruction each time; posix/timers" },
	{ SYS_timer_settime, "as setitimer" }, { SYS_settimeofday, "moves the clock of what follows" },
	{ SYS_clock_settime, "as settimeofday" }, { SYS_adjtimex, "as settimeofday" }, { SYS_clock_adjtime, "as settimeofday" },
	{ SYS_mount, "takes away the files of what follows" }, { SYS_umount2, "as mount" }, { SYS_pivot_root, "as mount" },
	{ SYS_chroot, "as mount" }, { SYS_vhangup, "takes away the console" }, { SYS_syslog, "what the log holds differs" },
	{ SYS_mlockall, "the memory that is locked differs" }, { SYS_sethostname, "uname of what follows" },
	{ SYS_setdomainname, "as sethostname" }, { SYS_init_module, "modules are not configured" },
	{ SYS_finit_module, "as init_module" }, { SYS_delete_module, "as init_module" }, { SYS_setsid, "takes away the console" },
	{ SYS_sched_setscheduler, "a real-time task keeps others from running" }, { SYS_sched_setparam, "as sched_setscheduler" },
	{ SYS_sched_setattr, "as sched_setscheduler" }, { SYS_swapon, "not configured" }, { SYS_swapoff, "not configured" },
};

const size_t excluded_count = sizeof excluded / sizeof *excluded;
