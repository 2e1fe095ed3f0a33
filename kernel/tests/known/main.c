/* Functions in assembly, so that their instructions can be counted by hand. Each is a request, from one getppid to the next;
   `known_nothing` costs what the loop around all of them does. debugger/tests/booted_known.rs has the counts. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <ukl.h>

#define FUNCTION(name, body) \
	asm(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n" body "\n.size " #name ", . - " #name "\n")

FUNCTION(known_nothing, "ret");
/* 100 + 1 */
FUNCTION(known_plain, ".rept 100\nnop\n.endr\nret");
/* 2 + 1 + 1: a REP is one instruction, whatever its rounds. */
FUNCTION(known_rep, "mov $64, %ecx\nlea known_bytes(%rip), %rsi\nrep lodsb\nret");
/* 5 + 1 + 3 + 1: the sixth begins in one page and ends in the next. */
asm(".text\n.balign 4096\n.skip 4096 - 8");
FUNCTION(known_across, ".rept 5\nnop\n.endr\nmovabs $0x1122334455667788, %rax\n.rept 3\nnop\n.endr\nret");
/* 2 + 1 + 20 + 1: the third stores to a page that is not there. */
FUNCTION(known_fault, "nop\nnop\nmovb $1, (%rdi)\n.rept 20\nnop\n.endr\nret");
/* 1 + 2 * 4,000,000 + 1: longer than the time between two ticks. */
FUNCTION(known_loop, "mov $4000000, %ecx\n1: dec %ecx\njnz 1b\nret");
/* 1 + 2 + 1 + 1 + 1 + 20 + 2 + 1: it runs where it can be written to, and writes twice into what it executes next, without
   a jump between. Returns what it has written: 7, and how often it was called. */
FUNCTION(known_own, "jmp *known_code(%rip)");
FUNCTION(known_body,
	 "nop\nnop\nincb 1f + 1(%rip)\nnop\nmovb $7, 2f + 1(%rip)\n.rept 20\nnop\n.endr\n1: mov $0, %al\n2: mov $0, %ah\nret");

/* They run where they can be written to, the label `_edge` at the end of a page, where a block ends. */
/* 1 + 2 + 1 + 1 + 1: the block's last instruction writes into the block. Returns how often it was called before. */
FUNCTION(known_last, "jmp *known_last_code(%rip)");
FUNCTION(known_last_body, "nop\nnop\n1: mov $0, %al\nincb 1b + 1(%rip)\nknown_last_edge: ret");
/* 1 + 1 + 1: the block's only instruction writes into itself. */
FUNCTION(known_alone, "jmp *known_alone_code(%rip)");
FUNCTION(known_alone_body, "movb $7, known_alone_edge - 1(%rip)\nknown_alone_edge: ret");
/* 1 + 2 + 1 + 1 + 1 + 1 + 1: the same instruction ends a block, and is one; it writes before both, in their page. */
FUNCTION(known_beside, "call *known_beside_code(%rip)\njmp *known_beside_last(%rip)");
FUNCTION(known_beside_body, "1: nop\nnop\nnop\nknown_beside_end: movb $7, 1b(%rip)\nknown_beside_edge: ret");

char known_bytes[64];
char *known_code, *known_last_code, *known_alone_code, *known_beside_code, *known_beside_last;

void known_nothing(char *page);
void known_plain(char *page);
void known_rep(char *page);
void known_across(char *page);
void known_fault(char *page);
void known_loop(char *page);
void known_own(char *page);
void known_last(char *page);
void known_alone(char *page);
void known_beside(char *page);
void known_body(void);
extern const char known_last_body[], known_last_edge[], known_alone_body[], known_alone_edge[];
extern const char known_beside_body[], known_beside_end[], known_beside_edge[];

static int from, to;
static struct sockaddr_in address;

/* The same call three times, apart by their names. */
#define SEND(name) \
	__attribute__((noipa)) static void name(void) \
	{ \
		sendto(from, known_bytes, 32, 0, (struct sockaddr *)&address, sizeof address); \
	}

SEND(warm)
SEND(known_before)
SEND(known_patched)
SEND(known_after)

static void take(void)
{
	char bytes[64];

	if (recv(to, bytes, sizeof bytes, MSG_DONTWAIT) != 32)
		printf("known: a datagram is missing\n");
}

static void one(void (*send)(void))
{
	/* The first after a while takes another path. */
	warm();
	take();
	getppid();
	send();
	getppid();
	take();
}

/* While any UDP socket takes encapsulated packets, all datagrams that arrive are looked at once more: by a jump that the
   kernel patches into its own text, and out again. */
static void patched(void)
{
	int encapsulation = 3;
	int other;

	one(known_before);
	other = socket(AF_INET, SOCK_DGRAM, 0);
	if (setsockopt(other, IPPROTO_UDP, 100 /* UDP_ENCAP */, &encapsulation, sizeof encapsulation))
		printf("known: no encapsulation\n");
	one(known_patched);
	close(other);
	one(known_after);
}

static void open_sockets(void)
{
	socklen_t length = sizeof address;

	from = socket(AF_INET, SOCK_DGRAM, 0);
	to = socket(AF_INET, SOCK_DGRAM, 0);
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(to, (struct sockaddr *)&address, sizeof address) || getsockname(to, (struct sockaddr *)&address, &length))
		printf("known: no sockets\n");
}

static char *pages(void)
{
	return mmap(0, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static char *copy_to_edge(const char *body, const char *edge)
{
	return memcpy(pages() + 4096 - (edge - body), body, 64);
}

static void copy_own(void)
{
	known_code = memcpy(pages(), (const char *)known_body, 64);
	known_last_code = copy_to_edge(known_last_body, known_last_edge);
	known_alone_code = copy_to_edge(known_alone_body, known_alone_edge);
	known_beside_code = copy_to_edge(known_beside_body, known_beside_edge) + 1;
	known_beside_last = known_beside_code + (known_beside_end - known_beside_body) - 1;
}

int main(void)
{
	const char *asked = getenv("n");
	int rounds = asked ? atoi(asked) : 20;
	void (*const all[])(char *) = { known_nothing, known_plain, known_rep, known_across, known_fault, known_loop, known_own,
					known_last, known_alone, known_beside };
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	printf("known: mode %s\n", ukl_mode_name());
	open_sockets();
	copy_own();
	for (int round = 0; round < rounds; round++) {
		patched();
		for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
			/* Gone again; outside of the requests. */
			madvise(page, 4096, MADV_DONTNEED);
			getppid();
			all[i](page);
			getppid();
		}
	}
	if ((((int (*)(void))known_code)() & 0xffff) != (7 << 8 | ((rounds + 1) & 0xff)) ||
	    (((int (*)(void))known_last_code)() & 0xff) != (rounds & 0xff)) {
		printf("known: what was overwritten was executed\n");
		return 1;
	}
	printf("known: ok\n");
	return 0;
}
