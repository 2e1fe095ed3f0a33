//! The names of what a call answers when it fails, as the kernel's user interface numbers them.

/// From include/uapi/asm-generic/errno-base.h and errno.h, and the kernel's own of linux/errno.h,
/// which the application is never to see. Sorted.
const ERRORS: &[(u16, &str)] = &[
    (1, "EPERM"),
    (2, "ENOENT"),
    (3, "ESRCH"),
    (4, "EINTR"),
    (5, "EIO"),
    (6, "ENXIO"),
    (7, "E2BIG"),
    (8, "ENOEXEC"),
    (9, "EBADF"),
    (10, "ECHILD"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (14, "EFAULT"),
    (15, "ENOTBLK"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (18, "EXDEV"),
    (19, "ENODEV"),
    (20, "ENOTDIR"),
    (21, "EISDIR"),
    (22, "EINVAL"),
    (23, "ENFILE"),
    (24, "EMFILE"),
    (25, "ENOTTY"),
    (26, "ETXTBSY"),
    (27, "EFBIG"),
    (28, "ENOSPC"),
    (29, "ESPIPE"),
    (30, "EROFS"),
    (31, "EMLINK"),
    (32, "EPIPE"),
    (33, "EDOM"),
    (34, "ERANGE"),
    (35, "EDEADLK"),
    (36, "ENAMETOOLONG"),
    (37, "ENOLCK"),
    (38, "ENOSYS"),
    (39, "ENOTEMPTY"),
    (40, "ELOOP"),
    (61, "ENODATA"),
    (62, "ETIME"),
    (71, "EPROTO"),
    (74, "EBADMSG"),
    (75, "EOVERFLOW"),
    (84, "EILSEQ"),
    (88, "ENOTSOCK"),
    (89, "EDESTADDRREQ"),
    (90, "EMSGSIZE"),
    (91, "EPROTOTYPE"),
    (92, "ENOPROTOOPT"),
    (93, "EPROTONOSUPPORT"),
    (94, "ESOCKTNOSUPPORT"),
    (95, "EOPNOTSUPP"),
    (96, "EPFNOSUPPORT"),
    (97, "EAFNOSUPPORT"),
    (98, "EADDRINUSE"),
    (99, "EADDRNOTAVAIL"),
    (100, "ENETDOWN"),
    (101, "ENETUNREACH"),
    (102, "ENETRESET"),
    (103, "ECONNABORTED"),
    (104, "ECONNRESET"),
    (105, "ENOBUFS"),
    (106, "EISCONN"),
    (107, "ENOTCONN"),
    (108, "ESHUTDOWN"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (112, "EHOSTDOWN"),
    (113, "EHOSTUNREACH"),
    (114, "EALREADY"),
    (115, "EINPROGRESS"),
    (116, "ESTALE"),
    (122, "EDQUOT"),
    (125, "ECANCELED"),
    (130, "EOWNERDEAD"),
    (131, "ENOTRECOVERABLE"),
    (512, "ERESTARTSYS"),
    (513, "ERESTARTNOINTR"),
    (514, "ERESTARTNOHAND"),
    (515, "ENOIOCTLCMD"),
    (516, "ERESTART_RESTARTBLOCK"),
];

/// The highest number that a call's answer may be the negative of.
const MOST: i64 = 4095;

/// A call's answer as the convention has it: a number, or an error's name with it.
#[must_use]
pub fn answer(result: u64) -> String {
    let signed = result.cast_signed();
    if !(-MOST..0).contains(&signed) {
        return match signed < 0 {
            // An address of the kernel's half, or a count that never is so large.
            true => format!("{result:#x}"),
            false => signed.to_string(),
        };
    }
    let number = u16::try_from(-signed).unwrap_or(0);
    match ERRORS.binary_search_by_key(&number, |(known, _)| *known) {
        Ok(at) => format!("{signed} (-{})", ERRORS[at].1),
        Err(_) => format!("{signed} (an error without a common name)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_number_or_a_named_error() {
        assert!(ERRORS.is_sorted_by_key(|(number, _)| *number));
        let check = |bits: i64, expected: &str| assert_eq!(answer(bits.cast_unsigned()), expected);
        check(64, "64");
        check(0, "0");
        check(-11, "-11 (-EAGAIN)");
        check(-512, "-512 (-ERESTARTSYS)");
        check(-4000, "-4000 (an error without a common name)");
        check(-0x7000_0000_0000, "0xffff900000000000");
    }
}
