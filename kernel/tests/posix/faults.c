// SPDX-License-Identifier: MIT OR Apache-2.0
/* Faults of the program's own instructions: what is filled in on demand, and what becomes which signal. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include "check.h"

enum { PAGE = 4096 };

static sigjmp_buf escape;
static siginfo_t seen;
static uintptr_t seen_rip;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	seen = *info;
	seen_rip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	siglongjmp(escape, 1);
}

static const int caught[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };

static void catch_all(void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
		sigaction(caught[i], &action, NULL);
}

static void catch_none(void)
{
	for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
		signal(caught[i], SIG_DFL);
}

/* Runs what must fault, then looks at the signal, its code and its address; ANY where that is not told. */
#define ANY (-1234)
#define FAULTS(what, signal, code, address, statement) do {				\
	memset(&seen, 0, sizeof seen);							\
	if (!sigsetjmp(escape, 1)) {							\
		statement;								\
	}										\
	SAME(what ": signal", signal, seen.si_signo);					\
	if ((code) != ANY)								\
		SAME(what ": code", code, seen.si_code);				\
	if ((long)(address) != ANY)							\
		SAME(what ": address", (uintptr_t)(address), (uintptr_t)seen.si_addr);	\
} while (0)

static void *map(size_t size, int protection)
{
	return mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

#define store(address) (*(volatile char *)(address) = 1)
#define load(address) ((void)*(volatile char *)(address))

static const char constant[PAGE] __attribute__((aligned(4096))) = "constant";
static char data[PAGE] __attribute__((aligned(4096))) = "data";

static void addresses(void)
{
	char *none = map(3 * PAGE, PROT_NONE), *read_only = map(PAGE, PROT_READ), *gone = map(PAGE, PROT_READ | PROT_WRITE);
	char *volatile nowhere = (char *)0x18, *volatile non_canonical = (char *)0x4141414141414141;
	char *volatile unmapped_kernel = (char *)0xfffffd0000000123;

	FAULTS("store near NULL", SIGSEGV, SEGV_MAPERR, nowhere, store(nowhere));
	FAULTS("load near NULL", SIGSEGV, SEGV_MAPERR, nowhere, load(nowhere));
	FAULTS("load from PROT_NONE", SIGSEGV, SEGV_ACCERR, none + PAGE + 5, load(none + PAGE + 5));
	FAULTS("store to PROT_NONE", SIGSEGV, SEGV_ACCERR, none + 7, store(none + 7));
	FAULTS("store to a read-only page", SIGSEGV, SEGV_ACCERR, read_only + 9, store(read_only + 9));
	load(read_only);
	FAULTS("store to a read-only page that is there", SIGSEGV, SEGV_ACCERR, read_only + 9, store(read_only + 9));
	store(gone);
	munmap(gone, PAGE);
	FAULTS("store to what was unmapped", SIGSEGV, SEGV_MAPERR, gone, store(gone));
	FAULTS("a non-canonical address", SIGSEGV, SI_KERNEL, 0, store(non_canonical));
	FAULTS("an unmapped address of the kernel half", SIGSEGV, SEGV_MAPERR, unmapped_kernel, load(unmapped_kernel));
	FAULTS("a store there", SIGSEGV, SEGV_MAPERR, unmapped_kernel, store(unmapped_kernel));
	FAULTS("a store to constants", SIGSEGV, SEGV_ACCERR, constant + 3, store(constant + 3));
	FAULTS("a store to code", SIGSEGV, ANY, (uintptr_t)addresses, store((uintptr_t)addresses));
	SAME("the constant", 'c', constant[0]);
	/* The page goes on after mprotect, and again. */
	SAME("mprotect of data", 0, mprotect(data, PAGE, PROT_READ));
	FAULTS("a store to data that were protected", SIGSEGV, SEGV_ACCERR, data, store(data));
	SAME("mprotect back", 0, mprotect(data, PAGE, PROT_READ | PROT_WRITE));
	store(data);
	munmap(none, 3 * PAGE);
	munmap(read_only, PAGE);
}

/* By the frame pointer the segment is SS: another exception (SIGBUS) on processors, the same (SIGSEGV) in QEMU's emulation. */
static void stack_segment(void)
{
	memset(&seen, 0, sizeof seen);
	if (!sigsetjmp(escape, 1))
		__asm__ volatile ("push %%rbp; mov %0, %%rbp; mov (%%rbp), %%eax; pop %%rbp"
				  :: "r"(0x4141414141414141) : "eax", "memory");
	HOLDS("a non-canonical frame pointer", seen.si_signo == SIGBUS || seen.si_signo == SIGSEGV);
	HOLDS("it has no address", seen.si_code == SI_KERNEL && !seen.si_addr);
}

static void jumps(void)
{
	void (*volatile to)(void) = NULL;
	char *page = map(PAGE, PROT_READ | PROT_WRITE);

	page[0] = (char)0xc3;
	FAULTS("a call of NULL", SIGSEGV, SEGV_MAPERR, 0, to());
	to = (void (*)(void))0x1230;
	FAULTS("a call near NULL", SIGSEGV, SEGV_MAPERR, 0x1230, to());
	SAME("its instruction pointer", 0x1230, seen_rip);
	to = (void (*)(void))page;
	FAULTS("a call of a page that is not executable", SIGSEGV, ANY, page, to());
	to = (void (*)(void))0x4141414141414141;
	FAULTS("a call of a non-canonical address", SIGSEGV, SI_KERNEL, 0, to());
	munmap(page, PAGE);
}

extern char ud2_here[], divide_here[];

static void instructions(void)
{
	volatile int zero = 0, result = 0;

	FAULTS("ud2", SIGILL, ILL_ILLOPN, ud2_here, __asm__ volatile (".globl ud2_here\nud2_here: ud2"));
	FAULTS("idiv by zero", SIGFPE, FPE_INTDIV, divide_here,
	       __asm__ volatile (".globl divide_here\n\txor %%edx, %%edx\n\tmov $1, %%eax\ndivide_here: idivl %0"
				 :: "r"(zero) : "eax", "edx"));
	FAULTS("idiv that overflows", SIGFPE, FPE_INTDIV, ANY,
	       __asm__ volatile ("mov $0x80000000, %%eax; cltd; mov $-1, %%ecx; idivl %%ecx" ::: "eax", "ecx", "edx"));
	FAULTS("int3", SIGTRAP, SI_KERNEL, ANY, __asm__ volatile ("int3"));
	FAULTS("x87 division by zero, unmasked", SIGFPE, FPE_FLTDIV, ANY, {
		unsigned short control = 0x37b;
		__asm__ volatile ("fninit; fldcw %0; fldz; fld1; fdivp; fwait" :: "m"(control));
	});
	__asm__ volatile ("fninit");
	SAME("nothing else changed", 0, result);
}

static int skipped;

static void skip(int signal, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	skipped++;
	if (signal == SIGILL)
		registers[REG_RIP] += 2;
	registers[REG_RAX] = 77;
}

static void resumed(void)
{
	long result = 0;

	skipped = 0;
	catch_all(skip, 0);
	for (int i = 0; i < 50; i++) {
		__asm__ volatile ("xor %%eax, %%eax; ud2" : "=a"(result));
		SAME("rax that the handler of ud2 put", 77, result);
		__asm__ volatile ("xor %%eax, %%eax; int3" : "=a"(result));
		SAME("rax that the handler of int3 put", 77, result);
	}
	SAME("handlers that ran", 100, skipped);
	catch_all(on_fault, SA_ONSTACK);
}

static char *arena;
static volatile int opened;

static void open_page(int signal, siginfo_t *info, void *context)
{
	char *page = (char *)((uintptr_t)info->si_addr & -PAGE);

	if (page < arena || page >= arena + 64 * PAGE || mprotect(page, PAGE, PROT_READ | PROT_WRITE))
		_exit(95);
	opened++;
}

/* A pager of the program's own: each page is opened by the handler, then the instruction runs again. */
static void pager(void)
{
	arena = map(64 * PAGE, PROT_NONE);
	opened = 0;
	catch_all(open_page, 0);
	for (int i = 0; i < 64; i++)
		arena[i * PAGE + i] += i;
	catch_all(on_fault, SA_ONSTACK);
	SAME("pages opened", 64, opened);
	for (int i = 0; i < 64; i++)
		SAME("a page's byte", i, arena[i * PAGE + i]);
	munmap(arena, 64 * PAGE);
}

static bool resident(void *page)
{
	unsigned char answer[1] = { 0 };

	SAME("mincore", 0, mincore(page, PAGE, answer));
	return answer[0] & 1;
}

static void demand(void)
{
	enum { SIZE = 4 << 20 };
	char *area = map(SIZE, PROT_READ | PROT_WRITE), *heap;
	long sum = 0;

	HOLDS("a new mapping is not there yet", !resident(area) && !resident(area + SIZE - PAGE));
	for (int i = 0; i < SIZE; i += 64)
		sum += area[i];
	SAME("a new mapping is zero", 0, sum);
	for (int i = 0; i < SIZE; i += PAGE)
		area[i] = 1;
	HOLDS("now it is there", resident(area + SIZE - PAGE));
	if (madvise(area, SIZE, MADV_DONTNEED))
		HOLDS("madvise, or a kernel without it", errno == ENOSYS &&
		      mmap(area, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area);
	for (int i = 0; i < SIZE; i += PAGE)
		sum += area[i];
	SAME("dropped pages are zero again", 0, sum);
	char *moved = mremap(area, SIZE, 2 * SIZE, MREMAP_MAYMOVE);
	NEEDS("mremap", moved != MAP_FAILED);
	moved[2 * SIZE - 1] = 3;
	munmap(moved, 2 * SIZE);
	heap = (char *)((syscall(SYS_brk, 0) + PAGE - 1) & -PAGE);
	SAME("brk", (long)heap + (1 << 20), syscall(SYS_brk, heap + (1 << 20)));
	for (int i = 0; i < 1 << 20; i += 512)
		sum += heap[i], heap[i] = 1;
	SAME("a grown heap is zero", 0, sum);
	SAME("brk back", (long)heap, syscall(SYS_brk, heap));
	FAULTS("the heap that was given back", SIGSEGV, SEGV_MAPERR, heap + PAGE, store(heap + PAGE));
	area = mmap(NULL, 1L << 36, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	NEEDS("64 GiB that are not reserved", area != MAP_FAILED);
	for (long i = 0; i < 1L << 36; i += 1L << 31)
		area[i] = 1;
	munmap(area, 1L << 36);
}

static int write_copies(void *argument)
{
	char *area = argument, stack[8 * PAGE];
	int zero = open("/dev/zero", O_RDONLY);

	memset(stack, 4, sizeof stack);
	for (int i = 0; i < 16; i++) {
		SAME("a child's page", i + 1, area[i * PAGE]);
		if (i % 2)
			area[i * PAGE] = 99;
		else
			SAME("a call's copy to a shared page", PAGE, read(zero, area + i * PAGE, PAGE));
	}
	return stack[5 * PAGE] == 4 ? 21 : 1;
}

static void copy_on_write(void)
{
	char *area = map(16 * PAGE, PROT_READ | PROT_WRITE), stack[8 * PAGE];

	memset(stack, 5, sizeof stack);
	for (int i = 0; i < 16; i++)
		area[i * PAGE] = i + 1;
	for (int round = 0; round < 3; round++)
		SAME("a child that writes", EXITED(21), in_child(write_copies, area));
	for (int i = 0; i < 16; i++)
		SAME("the parent's page", i + 1, area[i * PAGE]);
	for (int i = 0; i < 8; i++)
		SAME("the parent's stack", 5, stack[i * PAGE + 100]);
	munmap(area, 16 * PAGE);
}

static void files(void)
{
	int fd = open("/tmp/faults.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *shared, *private, text[8] = "";

	NEEDS("a file in /tmp", fd >= 0 && !ftruncate(fd, PAGE + 100));
	shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	NEEDS("mapping it", shared != MAP_FAILED && private != MAP_FAILED);
	memcpy(shared + 10, "shared", 7);
	SAME("read of what was stored", 7, pread(fd, text, 7, 10));
	HOLDS("the bytes", !strcmp(text, "shared") && !strcmp(private + 10, "shared"));
	memcpy(private + 10, "own", 4);
	pread(fd, text, 7, 10);
	HOLDS("a private store stays private", !strcmp(text, "shared") && !strcmp(shared + 10, "shared"));
	SAME("a write that the mapping shows", 5, pwrite(fd, "wrote", 5, PAGE + 1));
	HOLDS("it does", !memcmp(shared + PAGE + 1, "wrote", 5));
	SAME("msync", 0, msync(shared, 2 * PAGE, MS_SYNC));
	FAULTS("past the file's last page", SIGBUS, BUS_ADRERR, shared + 2 * PAGE, load(shared + 2 * PAGE));
	FAULTS("a store there", SIGBUS, BUS_ADRERR, private + 3 * PAGE + 4, store(private + 3 * PAGE + 4));
	SAME("ftruncate", 0, ftruncate(fd, PAGE));
	FAULTS("what was cut off", SIGBUS, BUS_ADRERR, shared + PAGE, load(shared + PAGE));
	FAILS("a call's copy from there", EFAULT, pwrite(fd, shared + PAGE, 8, 0));
	munmap(shared, 4 * PAGE);
	munmap(private, 4 * PAGE);
	close(fd);
	unlink("/tmp/faults.file");
}

static int fault_blocked(void *unused)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	store((char *)unused);
	return 1;
}

static void fault_again(int signal, siginfo_t *info, void *context)
{
	store((char *)info->si_addr);
}

static int fault_in_handler(void *address)
{
	catch_all(fault_again, 0);
	store((char *)address);
	return 1;
}

static int fault_without_stack(void *unused)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
	__asm__ volatile ("mov $0x20000, %%esp; push %%rax" ::: "memory");
	return 1;
}

/* No handler can run: the process ends, this one goes on. */
static void killed(void)
{
	SAME("a fault whose signal is blocked", SIGSEGV, in_child(fault_blocked, (void *)16) & 0x7f);
	SAME("a fault in the handler of a fault", SIGSEGV, in_child(fault_in_handler, (void *)16) & 0x7f);
	SAME("a fault without a stack for its handler", SIGSEGV, in_child(fault_without_stack, NULL) & 0x7f);
}

static void run(void)
{
	static char alternate[65536];
	stack_t second = { .ss_sp = alternate, .ss_size = sizeof alternate };

	sigaltstack(&second, NULL);
	catch_all(on_fault, SA_ONSTACK);
	addresses();
	stack_segment();
	jumps();
	instructions();
	resumed();
	pager();
	demand();
	copy_on_write();
	files();
	killed();
	catch_none();
	second.ss_flags = SS_DISABLE;
	sigaltstack(&second, NULL);
}

const struct part faults_part = { "faults", run };
