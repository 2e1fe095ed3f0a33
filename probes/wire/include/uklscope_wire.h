/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The records of uklscope's probes. Generated from probes/wire: change it there. */
#ifndef UKLSCOPE_WIRE_H
#define UKLSCOPE_WIRE_H

#define UKLSCOPE_MAGIC 0x45434152544c4b55ULL
#define UKLSCOPE_VERSION 2
#define UKLSCOPE_HEADER_BYTES 4096
#define UKLSCOPE_CONTROL_BYTES 256
#define UKLSCOPE_CHUNK_HEADER_BYTES 64
#define UKLSCOPE_POLICY_LOSSLESS 0
#define UKLSCOPE_POLICY_FLIGHT 1
#define UKLSCOPE_STATE_MADE 0
#define UKLSCOPE_STATE_RUNNING 1
#define UKLSCOPE_STATE_FINISHED 2
#define UKLSCOPE_KIND_ENTRY 1
#define UKLSCOPE_KIND_RETURN 2
#define UKLSCOPE_KIND_JUMP 3
#define UKLSCOPE_KIND_SYSRET 4
#define UKLSCOPE_KIND_IRET 5
#define UKLSCOPE_KIND_SYSCALL_ENTRY 6
#define UKLSCOPE_KIND_FAULT_ENTRY 7
#define UKLSCOPE_KIND_INTERRUPT_ENTRY 8
#define UKLSCOPE_KIND_TASK_START 9
#define UKLSCOPE_KIND_APP_ENTRY 10
#define UKLSCOPE_KIND_APP_RETURN 11
#define UKLSCOPE_KIND_APP_JUMP 12
#define UKLSCOPE_KIND_SWITCH 13
#define UKLSCOPE_KIND_RESUME 14
#define UKLSCOPE_KIND_APP_CALL 15
#define UKLSCOPE_SWITCH_NUMBERS 3
#define UKLSCOPE_SITE_LABEL 1
#define UKLSCOPE_SITE_SWITCHES 2
#define UKLSCOPE_SITE_END 4
#define UKLSCOPE_SITE_LEAVES 8
#define UKLSCOPE_SITE_RETURNS 16
#define UKLSCOPE_SITE_QUIET 32
#define UKLSCOPE_SITE_STARTS 64
#define UKLSCOPE_SITE_STOPS 128
#define UKLSCOPE_SITE_OWN 256
#define UKLSCOPE_PROBES_MAGIC 0x45424f52504c4b55ULL
#define UKLSCOPE_WANT_BOUNDARY 1
#define UKLSCOPE_WANT_FUNCTIONS 2

#ifndef __ASSEMBLY__
#ifdef __KERNEL__
#include <linux/types.h>
typedef u32 uklscope_u32;
typedef u64 uklscope_u64;
#else
#include <stdint.h>
typedef uint32_t uklscope_u32;
typedef uint64_t uklscope_u64;
#endif

/* kind << 28 | function */
#define UKLSCOPE_WORD(kind, function) ((uklscope_u32)(kind) << 28 | (function))
/* what a control's tail holds: whole chunks << 24 | records of the next one */
#define UKLSCOPE_TAKEN_CHUNKS(tail) ((tail) >> 24)
/* word << 32 | low half of the clock */
#define UKLSCOPE_RECORD(word, clock) ((uklscope_u64)(word) << 32 | (uklscope_u32)(clock))

struct uklscope_header {
	uklscope_u64 magic;
	uklscope_u32 version, vcpus, chunk_records, chunks, policy, reader;
	uklscope_u64 sites_offset, sites, total_bytes;
	uklscope_u32 state, closed;
	uklscope_u64 insns;
	uklscope_u32 gate;
};

struct uklscope_control {
	uklscope_u64 head, waits, waited_ns, lost, probe_line[12];
	uklscope_u64 tail, reader_line[15];
};

struct uklscope_chunk {
	uklscope_u64 sequence, clock, lost;
	uklscope_u32 used, vcpu;
	uklscope_u64 reserved[4];
	uklscope_u64 records[];
};

struct uklscope_site {
	uklscope_u64 address;
	uklscope_u32 word, flags;
};

struct uklscope_probes {
	/* From the guest. */
	uklscope_u64 magic, ring, ring_bytes;
	uklscope_u32 version, tsc_khz, cost_probe, cost_inside, cost_between, answer;
	int error;
	char refused[64];
	char from_guest[2048 - 116];
	/* To the guest. */
	uklscope_u32 request, want;
	char names[1024];
	char to_guest[4096 - 2048 - 8 - 1024];
};

#endif /* __ASSEMBLY__ */
#endif
