/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* In place of the compiler's, which asks for glibc: the same layout of strings and threads, with musl's names. */
#ifndef _GLIBCXX_OS_DEFINES
#define _GLIBCXX_OS_DEFINES 1

/* All of pthread is in musl's libc.a. */
#define _GLIBCXX_GTHREAD_USE_WEAK 0

typedef struct __locale_struct *__locale_t;

#endif
