/* A fault in a block where another one was executed before, of another page at the same address: a longer one, and a
   shorter one at another address. Each round is a request, from one getppid to the next. debugger/tests/booted_known.rs
   has the counts. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <ukl.h>

#define FUNCTION(name, body) \
	asm(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n" body "\n.size " #name ", . - " #name "\n")

FUNCTION(swapped_nothing, "ret");
/* 1 + 1 + 1, and 1 + 1 + 100 + 1: the second stores to a page that is not there. */
FUNCTION(swapped_run, "jmp *swapped_code(%rip)");
FUNCTION(swapped_run_long, "jmp *swapped_code_long(%rip)");
FUNCTION(swapped_short_body, "movb $1, (%rdi)\nret");
FUNCTION(swapped_long_body, "movb $1, (%rdi)\n.rept 100\nnop\n.endr\nret");

char *swapped_code, *swapped_code_long;

void swapped_nothing(char *page);
void swapped_run(char *page);
void swapped_run_long(char *page);
extern const char swapped_short_body[], swapped_long_body[];

enum { SHORT, LONG };

static int pages;

static void swap(char **code, int which)
{
	int fixed = *code ? MAP_FIXED : 0;

	*code = mmap(*code, 4096, PROT_READ | PROT_EXEC, MAP_SHARED | fixed, pages, which * 4096);
	/* Not by the fetch of an instruction. */
	*(volatile char *)*code;
}

/* The kernel takes no text of its own image for the application's memory. */
static int put(const char *body, int which)
{
	char text[200];

	memcpy(text, body, sizeof text);
	return pwrite(pages, text, sizeof text, which * 4096) != sizeof text;
}

int main(void)
{
	const char *asked = getenv("n");
	int rounds = asked ? atoi(asked) : 20;
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pages = memfd_create("pages", 0);
	if (put(swapped_short_body, SHORT) || put(swapped_long_body, LONG)) {
		printf("swapped: no pages\n");
		return 1;
	}
	for (int round = 0; round < rounds; round++) {
		/* Both were executed at both addresses, the one that will not fault last. */
		for (int which = SHORT; which <= LONG; which++) {
			swap(&swapped_code, which);
			swapped_run(page);
			swap(&swapped_code_long, LONG - which);
			swapped_run_long(page);
		}
		getppid();
		swapped_nothing(page);
		getppid();
		swap(&swapped_code, SHORT);
		madvise(page, 4096, MADV_DONTNEED);
		getppid();
		swapped_run(page);
		getppid();
		swap(&swapped_code_long, LONG);
		madvise(page, 4096, MADV_DONTNEED);
		getppid();
		swapped_run_long(page);
		getppid();
	}
	printf("swapped: ok\n");
	return 0;
}
