/*
 * n sets and n gets of one key, one after the other, on one connection: 'uklscope compare memcached --calls N' gives n.
 */
#include <ukl_client.h>

int main(void)
{
	static const struct ukl_request asks[] = {
		{ "set", "set key 0 0 3\r\nxxx\r\n", "STORED\r\n" },
		{ "get", "get key\r\n", "VALUE key 0 3\r\nxxx\r\nEND\r\n" },
	};

	return ukl_client(11211, asks, sizeof(asks) / sizeof(*asks));
}
