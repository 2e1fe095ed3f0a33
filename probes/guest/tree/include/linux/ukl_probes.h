/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Records of the application's ways into the kernel and out of it. Static
 * branches: a nop each while nobody asks for records. See ukl/probes_ring.c.
 */
#ifndef _LINUX_UKL_PROBES_H
#define _LINUX_UKL_PROBES_H

struct linux_binprm;
struct pt_regs;
struct task_struct;

#ifdef CONFIG_UKL_PROBES
#include <linux/jump_label.h>
#include <linux/sched.h>

DECLARE_STATIC_KEY_FALSE(ukl_probes_key);
#define ukl_probes_on()		static_branch_unlikely(&ukl_probes_key)

/* Of the entry assembly. */
void ukl_probe_vector(struct pt_regs *regs, void *place, unsigned int kind);
void ukl_probe_vector_return(struct pt_regs *regs);
void ukl_probe_call(struct pt_regs *regs, void *place);
void ukl_probe_call_return(struct pt_regs *regs, void *place);
void ukl_probe_exit_work(struct pt_regs *regs);
void ukl_probe_exit_worked(struct pt_regs *regs);

void __ukl_probe_syscall(struct pt_regs *regs);
void __ukl_probe_sysret(struct pt_regs *regs);
void __ukl_probe_number(unsigned int kind, unsigned int nr);
void __ukl_probe_switch(struct task_struct *prev, struct task_struct *next);

/* An exec has come so far that it replaces the task's program. */
void ukl_probes_exec(struct linux_binprm *bprm);

static __always_inline void ukl_probes_syscall(struct pt_regs *regs)
{
	if (ukl_probes_on())
		__ukl_probe_syscall(regs);
}

static __always_inline void ukl_probes_sysret(struct pt_regs *regs)
{
	if (ukl_probes_on())
		__ukl_probe_sysret(regs);
}

/* Around the implementation of the call with that number: an entry, a return. */
static __always_inline void ukl_probes_call(unsigned int nr)
{
	if (ukl_probes_on())
		__ukl_probe_number(1, nr);
}

static __always_inline void ukl_probes_returned(unsigned int nr)
{
	if (ukl_probes_on())
		__ukl_probe_number(2, nr);
}

static __always_inline void ukl_probes_switch(struct task_struct *prev, struct task_struct *next)
{
	if (ukl_probes_on())
		__ukl_probe_switch(prev, next);
}

/* A new task is the application's if its parent is, and was never told of. */
static inline void ukl_probes_fork(struct task_struct *task)
{
	task->ukl_told = 0;
}
#else
#define ukl_probes_syscall(regs)	do { } while (0)
#define ukl_probes_sysret(regs)		do { } while (0)
#define ukl_probes_call(nr)		do { } while (0)
#define ukl_probes_returned(nr)		do { } while (0)
#define ukl_probes_switch(prev, next)	do { } while (0)
#define ukl_probes_fork(task)		do { } while (0)
#define ukl_probes_exec(bprm)		do { } while (0)
#endif /* CONFIG_UKL_PROBES */

#endif /* _LINUX_UKL_PROBES_H */
