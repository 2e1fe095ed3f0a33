/* SPDX-License-Identifier: GPL-2.0 */
/* Between the two files of the probes. */
#ifndef _UKL_PROBES_INTERNAL_H
#define _UKL_PROBES_INTERNAL_H

#include <linux/types.h>
#include <linux/uklscope_wire.h>

/* A CPU's place in its part of the ring. */
struct ukl_ring {
	u64 *next, *end;
	/* The clock when the chunk was begun; a record tells its low half alone. */
	u64 base;
	struct uklscope_control *control;
	/* The start of the probes that its records are of. */
	unsigned int start;
	/* Its first chunk. */
	void *chunks;
	u32 cpu;
};

extern struct uklscope_header *ukl_probes_header;

/* Starts of the probes; a task that was told of an earlier one is told again. */
extern unsigned int ukl_probes_start;

/* A record of this CPU, stamped now. Any context but NMI. */
void ukl_probe_record(unsigned int kind, unsigned long place);

/* Lets the reader have what there is of this CPU's chunk. */
void ukl_probes_flush(void *unused);

/* Sets up all CPUs' parts; before the first record. */
void ukl_probes_lay_out(void *ring);

/* The CPU's records go to `to`, which has room for `records`, and back. Interrupts are off. */
struct ukl_ring ukl_probes_divert(u64 *to, unsigned int records);
void ukl_probes_restore(const struct ukl_ring *ring);

#endif
