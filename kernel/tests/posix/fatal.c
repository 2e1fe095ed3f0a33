// SPDX-License-Identifier: MIT OR Apache-2.0
/* Ends that are told in the kernel's log: of the program by a fault without a handler, of the kernel by a fault of its own. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include "check.h"

__attribute__((noinline, noclone)) static void store_through(volatile char *pointer)
{
	*pointer = 1;
}

static void run_wild(void)
{
	printf("wild: about to store through a wild pointer\n");
	fflush(stdout);
	store_through((char *)0xdead0018);
}

const struct part wild_part = { "wild", run_wild, .alone = true };

#ifdef UKL_LINKED
int _printk(const char *format, ...);
extern unsigned long cpu_current_top_of_stack;

/* The kernel's code on a stack pointer that it cannot push to. */
__attribute__((noinline, noclone)) static void call_kernel_on(unsigned long stack)
{
	static const char format[] = "never printed\n";

	__asm__ volatile ("cli\n mov %0, %%rsp\n jmp _printk" :: "r"(stack), "D"(format), "a"(0) : "memory");
	__builtin_unreachable();
}

static unsigned long top_of_task_stack(void)
{
	unsigned long top;

	__asm__ volatile ("mov %%gs:cpu_current_top_of_stack, %0" : "=r"(top));
	return top;
}
#else
static void call_kernel_on(unsigned long stack) { printf("  not in ring 3\n"); }
static unsigned long top_of_task_stack(void) { return 0; }
#endif

static void run_double_fault(void)
{
	printf("doublefault: calling the kernel on an unmapped stack\n");
	fflush(stdout);
	call_kernel_on(0xfffffd0000001000);
}

const struct part double_fault_part = { "doublefault", run_double_fault, .alone = true };

/* 16 KiB below the top lies the guard page of a task's stack. */
static void run_overflow(void)
{
	printf("overflow: calling the kernel at the end of the task's stack\n");
	fflush(stdout);
	call_kernel_on(top_of_task_stack() - 16384 + 64);
}

const struct part overflow_part = { "overflow", run_overflow, .alone = true };
