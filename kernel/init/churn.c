/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Unrest beside the application, for soaks: ukl.beside=/bin/churn. Processes and threads come and go; the application
 * gets signals that it catches, now and then it is stopped and continued; every two seconds a line tells what was done
 * and how much memory there is.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, BETWEEN_LINES = 2, PAUSE_US = 20000, CHILD_STATUS = 7 };

/* Sent only where the application has a handler: without one they would end it. */
static const int wanted[] = { SIGALRM, SIGHUP };

static pid_t application;
static unsigned long processes, threads, signals, stops, wrong;

static void *scratch(void *argument)
{
	char *page = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	memset(page, 1, 1 << 16);
	munmap(page, 1 << 16);
	return argument;
}

static void churn_threads(void)
{
	pthread_t started[THREADS];
	void *result;

	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&started[i], NULL, scratch, started))
			started[i] = 0, wrong++;
	for (int i = 0; i < THREADS; i++) {
		if (!started[i])
			continue;
		pthread_join(started[i], &result);
		wrong += result != started;
		threads++;
	}
}

/* One that executes a program, one that does not, one that is killed. */
static void churn_processes(void)
{
	int status, way = rand() % 3;
	pid_t child = fork();

	if (!child) {
		if (way == 0)
			execl("/proc/self/exe", "churn", "child", (char *)NULL);
		if (way == 2)
			pause();
		scratch(NULL);
		_exit(CHILD_STATUS);
	}
	if (way == 2)
		kill(child, SIGKILL);
	if (waitpid(child, &status, 0) != child)
		wrong++;
	else if (way == 2)
		wrong += !WIFSIGNALED(status);
	else
		wrong += !WIFEXITED(status) || WEXITSTATUS(status) != CHILD_STATUS;
	processes++;
}

/* The number after 'key' in a file of /proc. */
static unsigned long field(const char *path, const char *key, int base)
{
	FILE *file = fopen(path, "re");
	unsigned long value = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			value = strtoul(line + strlen(key), NULL, base);
	if (file)
		fclose(file);
	return value;
}

static const char *of_application(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)application, name);
	return path;
}

/* A thread of the application, each as likely as any other. */
static pid_t some_thread(void)
{
	DIR *tasks = opendir(of_application("task"));
	struct dirent *entry;
	pid_t thread = 0;
	int n = 0;

	while (tasks && (entry = readdir(tasks)))
		if (atoi(entry->d_name) && rand() % ++n == 0)
			thread = atoi(entry->d_name);
	if (tasks)
		closedir(tasks);
	return thread;
}

static void disturb(void)
{
	int sig = wanted[rand() % 2];

	if (field(of_application("status"), "SigCgt:", 16) >> (sig - 1) & 1) {
		if (rand() % 2)
			kill(application, sig);
		else
			syscall(SYS_tgkill, application, some_thread(), sig);
		signals++;
	}
	if (rand() % 16 == 0) {
		kill(application, SIGSTOP);
		usleep(rand() % 5000);
		kill(application, SIGCONT);
		stops++;
	}
}

static void tell(void)
{
	static time_t last;
	time_t now = time(NULL);

	if (now - last < BETWEEN_LINES)
		return;
	last = now;
	printf("churn: available %lu slab %lu application %lu kB; processes %lu threads %lu signals %lu stops %lu wrong %lu\n",
	       field("/proc/meminfo", "MemAvailable:", 10), field("/proc/meminfo", "Slab:", 10),
	       field(of_application("status"), "VmRSS:", 10), processes, threads, signals, stops, wrong);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char *number = getenv("UKL_APPLICATION");

	if (argc > 1)
		return CHILD_STATUS;
	application = number ? atoi(number) : 0;
	if (application <= 0) {
		printf("churn: no UKL_APPLICATION in the environment: start it by /init\n");
		return 1;
	}
	while (!kill(application, 0)) {
		churn_threads();
		churn_processes();
		disturb();
		tell();
		usleep(rand() % PAUSE_US);
	}
}
