/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Probes in the entry assembly: a nop each, which a static key makes a jump to
 * code out of line. RSP is at a pt_regs, and what C code may change is changed
 * unless a macro says otherwise.
 */
#ifdef CONFIG_UKL_PROBES
#include <asm/nops.h>
#include <asm/trapnr.h>
#include <linux/uklscope_wire.h>

.macro UKL_PROBE_NOP on:req
.Lukl_nop_\@:
	.byte	BYTES_NOP5
	.pushsection __jump_table, "aw"
	.balign	8
	.long	.Lukl_nop_\@ - ., \on - .
	.quad	ukl_probes_key - .
	.popsection
.endm

/* func(regs) */
.macro UKL_PROBE func:req
	UKL_PROBE_NOP .Lukl_on_\@
.Lukl_done_\@:
	.pushsection .entry.text, 1, "ax"
.Lukl_on_\@:
	movq	%rsp, %rdi
	call	\func
	jmp	.Lukl_done_\@
	.popsection
.endm

/*
 * An interrupt or exception has come in. Not a breakpoint: the kernel changes a
 * nop into a jump by way of one, which would come in here.
 */
.macro UKL_PROBE_VECTOR vector:req asmsym:req
	.if \vector != X86_TRAP_BP
	UKL_PROBE_NOP .Lukl_on_\@
.Lukl_done_\@:
	.pushsection .entry.text, 1, "ax"
.Lukl_on_\@:
	movq	%rsp, %rdi
	movq	$\asmsym, %rsi
	.if \vector >= 0 && \vector < 32
	movl	$UKLSCOPE_KIND_FAULT_ENTRY, %edx
	.else
	movl	$UKLSCOPE_KIND_INTERRUPT_ENTRY, %edx
	.endif
	call	ukl_probe_vector
	jmp	.Lukl_done_\@
	.popsection
	.endif
.endm

.macro UKL_PROBE_VECTOR_RETURN vector:req
	.if \vector != X86_TRAP_BP
	UKL_PROBE ukl_probe_vector_return
	.endif
.endm

/*
 * In by a call, on the task's stack. RCX is kept too; its place in the pt_regs
 * holds a constant.
 */
.macro UKL_PROBE_CALL name:req
	UKL_PROBE_NOP .Lukl_on_\@
.Lukl_done_\@:
	.pushsection .entry.text, 1, "ax"
.Lukl_on_\@:
	movq	%rcx, RCX(%rsp)
	movq	%rsp, %rdi
	movq	$\name, %rsi
	call	ukl_probe_call
	movq	RDI(%rsp), %rdi
	movq	RSI(%rsp), %rsi
	movq	RDX(%rsp), %rdx
	movq	R8(%rsp), %r8
	movq	R9(%rsp), %r9
	movq	RCX(%rsp), %rcx
	movq	$ukl_syscall_return, RCX(%rsp)
	jmp	.Lukl_done_\@
	.popsection
.endm

/* Back from a call, RAX its result. */
.macro UKL_PROBE_CALL_RETURN name:req
	UKL_PROBE_NOP .Lukl_on_\@
.Lukl_done_\@:
	.pushsection .entry.text, 1, "ax"
.Lukl_on_\@:
	movq	%rax, RAX(%rsp)
	movq	%rsp, %rdi
	movq	$\name, %rsi
	call	ukl_probe_call_return
	movq	RAX(%rsp), %rax
	jmp	.Lukl_done_\@
	.popsection
.endm

#else
.macro UKL_PROBE func:req
.endm
.macro UKL_PROBE_VECTOR vector:req asmsym:req
.endm
.macro UKL_PROBE_VECTOR_RETURN vector:req
.endm
.macro UKL_PROBE_CALL name:req
.endm
.macro UKL_PROBE_CALL_RETURN name:req
.endm
#endif
