/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the compiler's headers were configured to use of glibc and musl 1.2.3 does not have. */
#include_next <bits/c++config.h>

#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK
