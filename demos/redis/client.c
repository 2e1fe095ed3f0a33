/*
 * n SET and n GET of one key, one after the other, on one connection: 'uklscope compare redis --calls N' gives n.
 */
#include <ukl_client.h>

int main(void)
{
	static const struct ukl_request asks[] = {
		{ "SET", "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$3\r\nxxx\r\n", "+OK\r\n" },
		{ "GET", "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", "$3\r\nxxx\r\n" },
	};

	return ukl_client(6379, asks, sizeof(asks) / sizeof(*asks));
}
