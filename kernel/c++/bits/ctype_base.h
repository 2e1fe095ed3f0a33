/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* In libstdc++.a these read members of glibc's locale structure, which are not where musl has them: kernel/README.md. */
#error "streams, locales and regular expressions of libstdc++ do not work with musl"
