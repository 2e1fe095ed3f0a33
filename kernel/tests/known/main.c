/* Functions in assembly, so that their instructions can be counted by hand. Each is a request, from one getppid to the next;
   `known_nothing` costs what the loop around all of them does. debugger/tests/booted_known.rs has the counts. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <ukl.h>

#define FUNCTION(name, body) \
	asm(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n" body "\n.size " #name ", . - " #name "\n")

FUNCTION(known_nothing, "ret");
/* 100 + 1 */
FUNCTION(known_plain, ".rept 100\nnop\n.endr\nret");
/* 2 + 65 + 1: a REP counts for each of its rounds, and for the one that finds none left. */
FUNCTION(known_rep, "mov $64, %ecx\nlea known_bytes(%rip), %rsi\nrep lodsb\nret");
/* 5 + 1 + 3 + 1: the sixth begins in one page and ends in the next. */
asm(".text\n.balign 4096\n.skip 4096 - 8");
FUNCTION(known_across, ".rept 5\nnop\n.endr\nmovabs $0x1122334455667788, %rax\n.rept 3\nnop\n.endr\nret");
/* 2 + 1 + 20 + 1: the third stores to a page that is not there. */
FUNCTION(known_fault, "nop\nnop\nmovb $1, (%rdi)\n.rept 20\nnop\n.endr\nret");
/* 1 + 2 * 4,000,000 + 1: longer than the time between two ticks. */
FUNCTION(known_loop, "mov $4000000, %ecx\n1: dec %ecx\njnz 1b\nret");

char known_bytes[64];

void known_nothing(char *page);
void known_plain(char *page);
void known_rep(char *page);
void known_across(char *page);
void known_fault(char *page);
void known_loop(char *page);

int main(void)
{
	const char *asked = getenv("n");
	int rounds = asked ? atoi(asked) : 20;
	void (*const all[])(char *) = { known_nothing, known_plain, known_rep, known_across, known_fault, known_loop };
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	printf("known: mode %s\n", ukl_mode_name());
	for (int round = 0; round < rounds; round++)
		for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
			/* Gone again; outside of the requests. */
			madvise(page, 4096, MADV_DONTNEED);
			getppid();
			all[i](page);
			getppid();
		}
	printf("known: ok\n");
	return 0;
}
