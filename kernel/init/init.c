/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * /init of every image, an ordinary ring-3 process: makes the places that programs expect, starts the application and
 * what is to run beside it, and waits. While the application runs alone it is blocked in wait4 and calls nothing.
 *
 * On the kernel's command line ukl.exit= says what follows the application's end: poweroff (default), shell, wait;
 * and ukl.beside= names one more program to start beside it, such as /bin/sh.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHELL "/bin/sh"

/* At most so many programs beside the application. */
#define NEIGHBOURS 8

static void complain(const char *doing, const char *what)
{
	printf("init: %s %s: %s\n", doing, what, strerror(errno));
	fflush(stdout);
}

static void place(const char *path, const char *type)
{
	mkdir(path, 0755);
	if (mount(type, path, type, 0, NULL))
		complain("mounting", path);
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		complain("bringing up", "lo");
	close(fd);
}

/* The lines of a file, if it is there, and after them the words of 'more'. */
static char **lines(const char *path, char **more)
{
	FILE *file = fopen(path, "re");
	char **list = NULL, *line = NULL;
	size_t n = 0, room = 0;
	ssize_t length;

	while (file && (length = getline(&line, &room, file)) > 0) {
		line[length - (line[length - 1] == '\n')] = '\0';
		list = reallocarray(list, n + 2, sizeof(*list));
		list[n++] = line;
		line = NULL;
	}
	if (file)
		fclose(file);
	while (more && *more) {
		list = reallocarray(list, n + 2, sizeof(*list));
		list[n++] = *more++;
	}
	if (!list)
		list = malloc(sizeof(*list));
	list[n] = NULL;
	return list;
}

static pid_t start(const char *path, char **arguments)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (!strcmp(path, SHELL)) {
		setsid();
		ioctl(0, TIOCSCTTY, 0);
	}
	execv(path, arguments);
	complain("starting", path);
	_exit(127);
}

static void tell(const char *who, int status)
{
	static const char *const names[] = {
		[SIGHUP] = "SIGHUP", [SIGINT] = "SIGINT", [SIGQUIT] = "SIGQUIT", [SIGILL] = "SIGILL", [SIGTRAP] = "SIGTRAP",
		[SIGABRT] = "SIGABRT", [SIGBUS] = "SIGBUS", [SIGFPE] = "SIGFPE", [SIGKILL] = "SIGKILL",
		[SIGUSR1] = "SIGUSR1", [SIGSEGV] = "SIGSEGV", [SIGUSR2] = "SIGUSR2", [SIGPIPE] = "SIGPIPE",
		[SIGALRM] = "SIGALRM", [SIGTERM] = "SIGTERM", [SIGSYS] = "SIGSYS",
	};
	size_t sig = WTERMSIG(status);

	if (WIFEXITED(status))
		printf("init: %s exited with status %d\n", who, WEXITSTATUS(status));
	else
		printf("init: %s was killed by signal %zu (%s)\n", who, sig,
		       sig < sizeof(names) / sizeof(*names) && names[sig] ? names[sig] : strsignal(sig));
	fflush(stdout);
}

/* What the kernel's command line sets this to, the last of several settings; empty when it does not. */
static char *setting(const char *key)
{
	char **line = lines("/proc/cmdline", NULL), *word, *value = "";

	while (line[0] && (word = strsep(&line[0], " ")))
		if (!strncmp(word, key, strlen(key)))
			value = word + strlen(key);
	return value;
}

static void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	complain("powering", "off");
}

int main(int argc, char **argv)
{
	char *more[] = { NULL, NULL }, **arguments, **beside, *end, number[16];
	int status;
	pid_t application, ended, neighbours[NEIGHBOURS];
	size_t n = 0;

	place("/proc", "proc");
	place("/sys", "sysfs");
	place("/dev", "devtmpfs");
	place("/tmp", "tmpfs");
	loopback_up();
	end = setting("ukl.exit=");
	more[0] = setting("ukl.beside=");
	/* What the kernel does not know on its command line, and all after '--', is for the application. */
	arguments = lines("/etc/arguments", argv + 1);
	beside = lines("/etc/beside", *more[0] ? more : NULL);
	application = start("/ukl", arguments);
	snprintf(number, sizeof(number), "%d", (int)application);
	setenv("UKL_APPLICATION", number, 1);
	for (; beside[n] && n < NEIGHBOURS; n++)
		neighbours[n] = start(beside[n], (char *[]){ beside[n], NULL });
	for (;;) {
		ended = wait(&status);
		if (ended < 0)
			pause();
		for (size_t i = 0; i < n; i++)
			if (ended == neighbours[i])
				tell(beside[i], status);
		if (ended != application)
			continue;
		tell("the application", status);
		if (!strcmp(end, "shell")) {
			ended = start(SHELL, (char *[]){ "sh", NULL });
			while (wait(NULL) != ended)
				;
		}
		if (strcmp(end, "wait"))
			power_off();
	}
}
