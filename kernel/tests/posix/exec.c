// SPDX-License-Identifier: MIT OR Apache-2.0
/* From this program to an ordinary one, and back: execve, vfork, posix_spawn, a second start, a start after a start. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "check.h"

/* The ring-3 build of this program, which is in every image's initramfs; on another system, the program itself. */
static const char *program(void)
{
	return access("/app.linux", X_OK) ? "/proc/self/exe" : "/app.linux";
}

/* "exit N"; "echo": its arguments and environment; "mask": what exec left of the signals; "kill PID SIGNAL"; "again". */
int helper(int argc, char **argv, char **envp)
{
	const char *what = argv[1];

	if (!strcmp(what, "exit"))
		return ukl_ring() == 3 ? atoi(argv[2]) : 98;
	if (!strcmp(what, "echo")) {
		for (int i = 2; i < argc; i++)
			printf("%s;", argv[i]);
		for (char **variable = envp; *variable; variable++)
			printf("%s;", *variable);
		fflush(stdout);
		return 0;
	}
	if (!strcmp(what, "mask")) {
		struct sigaction one, two;
		sigset_t blocked;

		sigaction(SIGUSR1, NULL, &one);
		sigaction(SIGUSR2, NULL, &two);
		sigprocmask(SIG_BLOCK, NULL, &blocked);
		return (one.sa_handler == SIG_DFL) | (two.sa_handler == SIG_IGN) << 1 |
		       sigismember(&blocked, SIGHUP) << 2 | (fcntl(50, F_GETFD) == -1) << 3 |
		       (fcntl(51, F_GETFD) != -1) << 4;
	}
	if (!strcmp(what, "kill"))
		return kill(atoi(argv[2]), atoi(argv[3])) ? 1 : 0;
	if (!strcmp(what, "again")) {
		execve("/ukl", (char *[]){ "ukl", NULL }, envp);
		printf("  the next start: errno %d\n", errno);
		return 97;
	}
	printf("posix: no such helper: %s\n", what);
	return 96;
}

static int status_of(pid_t pid)
{
	int status = -1;

	SAME("waitpid", pid, waitpid(pid, &status, 0));
	return status;
}

static void by_vfork(void)
{
	static volatile int seen;
	pid_t pid;

	seen = 1;
	pid = vfork();
	if (!pid) {
		seen = 2;
		execl(program(), "app", "exit", "7", (char *)NULL);
		_exit(1);
	}
	SAME("a store of vfork's child", 2, seen);
	SAME("vfork and execve", EXITED(7), status_of(pid));
	pid = vfork();
	if (!pid) {
		execl("/none", "none", (char *)NULL);
		seen = errno;
		_exit(9);
	}
	SAME("errno of vfork's child", ENOENT, seen);
	SAME("vfork and a failing execve", EXITED(9), status_of(pid));
}

static void by_fork(void)
{
	char path[32];
	pid_t pid;
	int fd;

	pid = fork();
	if (!pid) {
		execl(program(), "app", "exit", "8", (char *)NULL);
		_exit(1);
	}
	SAME("fork and execve", EXITED(8), status_of(pid));
	fd = open(program(), O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	pid = fork();
	if (!pid) {
		fexecve(fd, (char *[]){ "app", "exit", "5", NULL }, (char *[]){ NULL });
		_exit(1);
	}
	SAME("fork and fexecve", EXITED(5), status_of(pid));
	close(fd);
	pid = fork();
	if (!pid)
		_exit(execl("/proc", "proc", (char *)NULL) == -1 && errno == EACCES ? 10 : 1);
	SAME("execve of a folder", EXITED(10), status_of(pid));
	char **volatile nowhere = (char **)8;
	pid = fork();
	if (!pid)
		_exit(execve(program(), nowhere, NULL) == -1 && errno == EFAULT ? 11 : 1);
	SAME("execve with bad arguments", EXITED(11), status_of(pid));
}

static void handler(int signal) { }

static void by_spawn(void)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char text[128] = "";
	sigset_t set;
	int ends[2];
	pid_t pid;

	pipe(ends);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	SAME("posix_spawn", 0, posix_spawn(&pid, program(), &actions, NULL, (char *[]){ "app", "echo", "one", "", "three", NULL },
					   (char *[]){ "A=1", "B=", NULL }));
	close(ends[1]);
	for (ssize_t have = 0, got; (got = read(ends[0], text + have, sizeof text - 1 - have)) > 0; have += got)
		;
	close(ends[0]);
	HOLDS("arguments and environment of what was spawned", !strcmp(text, "one;;three;A=1;B=;"));
	SAME("its status", EXITED(0), status_of(pid));
	SAME("posix_spawn of nothing", ENOENT, posix_spawn(&pid, "/none", NULL, NULL, (char *[]){ "none", NULL }, NULL));

	/* Handlers go, SIG_IGN, the mask and descriptors stay, but for FD_CLOEXEC. */
	signal(SIGUSR1, handler);
	signal(SIGUSR2, SIG_IGN);
	dup2(2, 51);
	dup3(2, 50, O_CLOEXEC);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, &set);
	SAME("posix_spawn with a mask", 0, posix_spawn(&pid, program(), NULL, &attributes, (char *[]){ "app", "mask", NULL },
						       (char *[]){ NULL }));
	SAME("signals and descriptors after exec", EXITED(31), status_of(pid));
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	close(50);
	close(51);
}

static void *spawn_some(void *unused)
{
	for (int i = 0; i < 10; i++) {
		pid_t pid = -1;
		posix_spawn(&pid, program(), NULL, NULL, (char *[]){ "app", "exit", "4", NULL }, (char *[]){ NULL });
		SAME("spawned by a thread", EXITED(4), status_of(pid));
	}
	return NULL;
}

/* There is one application: it is refused while this one lives, to every process. */
static void second_start(void)
{
	pid_t pid;

	if (access("/ukl", X_OK))
		return;
	pid = vfork();
	if (!pid) {
		execl("/ukl", "ukl", "exit", "3", (char *)NULL);
		_exit(errno == EBUSY ? 33 : 1);
	}
	SAME("a second start", EXITED(ukl_mode() ? 33 : 3), status_of(pid));
}

static void run(void)
{
	pthread_t threads[3];

	by_vfork();
	by_fork();
	by_spawn();
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, spawn_some, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	second_start();
}

const struct part exec_part = { "exec", run };

/* Three runs, each by execve of an ordinary program in between: each must find its data as they were linked. */
static void run_again(void)
{
	static int initialised = 41, zero;
	static char *pointer = "a";
	int round = getenv("round") ? atoi(getenv("round")) : 1;
	char next[16];

	printf("  start %d: data %d, bss %d, pointer to %s\n", round, initialised, zero, pointer);
	SAME("initialised data", 41, initialised);
	SAME("bss", 0, zero);
	SAME("a pointer", 'a', *pointer);
	initialised = zero = round;
	pointer = "b";
	if (round == 3)
		return;
	snprintf(next, sizeof next, "%d", round + 1);
	setenv("round", next, 1);
	fflush(stdout);
	execl(program(), "app", "again", (char *)NULL);
	unexpected(__FILE_NAME__, __LINE__, "execve", 0, -1);
}

const struct part again_part = { "again", run_again, .alone = true };

static void run_exit(void)
{
	const char *status = getenv("status");

	printf("exit: with %s\n", status);
	fflush(stdout);
	if (!strcmp(status, "killed"))
		kill(getpid(), SIGKILL);
	exit(atoi(status));
}

const struct part exit_part = { "exit", run_exit, .alone = true };
