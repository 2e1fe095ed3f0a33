/* The smallest program: says where it runs. The same source in ring 3 and in the kernel. */
#include <ukl.h>

static void greet(void)
{
	printf("hello from ring %d, mode %s, greet at %p\n", ukl_ring(), ukl_mode_name(), (void *)greet);
}

int main(void)
{
	greet();
	printf("hello: ok\n");
	return 0;
}
