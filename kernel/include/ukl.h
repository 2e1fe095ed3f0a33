/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a program needs to know about the way it runs. Found by #include <ukl.h> in demos and tests. */
#ifndef UKL_H
#define UKL_H

#include <errno.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/reboot.h>
#include <unistd.h>

/* The entry of the auxiliary vector that holds the mode; absent from a ring-3 process. */
#define AT_UKL 0x554b4c

enum ukl_mode { UKL_LINUX, UKL_UKL, UKL_BYPASS, UKL_SHORTCUT };

/*
 * The kernel's shortcuts to TCP, found at link time and absent from the ring-3 build. They return a count of bytes or a
 * negative errno, and nobody restarts them after a signal: -EINTR means 'call again'.
 */
#ifdef __cplusplus
extern "C" {
#endif
__attribute__((weak)) long ukl_tcp_sendmsg(int fd, const void *buf, size_t len, int flags);
__attribute__((weak)) long ukl_tcp_recvmsg(int fd, void *buf, size_t len, int flags);
#ifdef __cplusplus
}
#endif

/* Looked up once: a program may ask before each call. In the ring-3 build it is known to the compiler. */
static inline enum ukl_mode ukl_mode(void)
{
#ifdef UKL_LINKED
	static int mode = -1;

	if (mode < 0)
		mode = (int)getauxval(AT_UKL);
	return (enum ukl_mode)mode;
#else
	return UKL_LINUX;
#endif
}

static inline const char *ukl_mode_name(void)
{
	static const char *const names[] = { "linux", "ukl", "bypass", "shortcut" };
	return names[ukl_mode() & 3];
}

/* What is no plain TCP socket is refused, as is all in another mode: the system call does it then. */
static inline int ukl_refused(long result)
{
	return result == -EOPNOTSUPP || result == -ENOTSOCK;
}

/* A shortcut's result as the system call's function gives it. */
static inline ssize_t ukl_result(long result)
{
	return result < 0 ? (errno = -result, -1) : result;
}

/* In place of read and write on a connection: in mode shortcut straight to TCP. */
static inline ssize_t ukl_tcp_read(int fd, void *buf, size_t len)
{
	long r = ukl_mode() == UKL_SHORTCUT ? ukl_tcp_recvmsg(fd, buf, len, 0) : -EOPNOTSUPP;

	return ukl_refused(r) ? read(fd, buf, len) : ukl_result(r);
}

static inline ssize_t ukl_tcp_write(int fd, const void *buf, size_t len)
{
	long r = ukl_mode() == UKL_SHORTCUT ? ukl_tcp_sendmsg(fd, buf, len, 0) : -EOPNOTSUPP;

	return ukl_refused(r) ? write(fd, buf, len) : ukl_result(r);
}

/* The privilege level, from the CPU: 3 for an ordinary process, 0 in the kernel. */
static inline int ukl_ring(void)
{
	unsigned short cs;
	__asm__ ("mov %%cs, %0" : "=r"(cs));
	return cs & 3;
}

/* Ends the machine, and QEMU with it. */
static inline void ukl_power_off(void)
{
	fflush(stdout);
	reboot(RB_POWER_OFF);
}

#endif
