//! Socket addresses: the bytes that an application gives the kernel, and a socket's own ends.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::count::counted;

/// Address families by number, from include/linux/socket.h: those met in practice.
const FAMILIES: &[(u16, &str)] = &[
    (0, "AF_UNSPEC"),
    (1, "AF_UNIX"),
    (2, "AF_INET"),
    (10, "AF_INET6"),
    (16, "AF_NETLINK"),
    (17, "AF_PACKET"),
    (40, "AF_VSOCK"),
];

#[must_use]
pub fn family(number: u16) -> String {
    let known = FAMILIES.iter().find(|(known, _)| *known == number);
    known.map_or_else(
        || format!("family {number}"),
        |(_, name)| (*name).to_owned(),
    )
}

/// A `struct sockaddr` of any family, as far as its bytes go.
///
/// ```text
/// family 2 │ AF_INET: port 2 (most significant byte first), address 4
///          │ AF_INET6: port 2, flow 4, address 16
///          │ AF_UNIX: a path, or behind a zero a name that lies in no file system
/// ```
#[must_use]
pub fn address(bytes: &[u8]) -> String {
    let Some((number, rest)) = bytes.split_first_chunk::<2>() else {
        return format!(
            "an address of {}, too short for its family",
            counted(bytes.len(), "byte")
        );
    };
    let name = family(u16::from_le_bytes(*number));
    let port = || {
        rest.first_chunk::<2>()
            .map(|port| u16::from_be_bytes(*port))
    };
    match (name.as_str(), port()) {
        ("AF_INET", Some(port)) => match rest[2..].first_chunk::<4>() {
            Some(ip) => format!("AF_INET {}:{port}", Ipv4Addr::from(*ip)),
            None => format!("AF_INET, cut off behind port {port}"),
        },
        ("AF_INET6", Some(port)) => match rest.get(6..).and_then(|rest| rest.first_chunk::<16>()) {
            Some(ip) => format!("AF_INET6 [{}]:{port}", Ipv6Addr::from(*ip)),
            None => format!("AF_INET6, cut off behind port {port}"),
        },
        ("AF_UNIX", _) => match rest.split_first() {
            None => "AF_UNIX, unnamed".to_owned(),
            Some((0, name)) => {
                // All the bytes count, and most of them are zeros where none were meant.
                let end = name
                    .iter()
                    .rposition(|b| *b != 0)
                    .map_or(0, |last| last + 1);
                match end {
                    0 => "AF_UNIX, unnamed".to_owned(),
                    _ => format!("AF_UNIX @{}", name[..end].escape_ascii()),
                }
            }
            Some(_) => {
                let end = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
                format!("AF_UNIX {}", rest[..end].escape_ascii())
            }
        },
        _ => format!("{name}, {}", counted(bytes.len(), "byte")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_by_their_family() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(address(bytes), expected);
        check(
            &[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0],
            "AF_INET 127.0.0.1:8080",
        );
        check(
            &[2, 0, 0x1f, 0x90, 127],
            "AF_INET, cut off behind port 8080",
        );
        check(b"\x01\0/run/x\0\0", "AF_UNIX /run/x");
        check(b"\x01\0\0name\0\0", "AF_UNIX @name");
        check(b"\x01\0", "AF_UNIX, unnamed");
        check(&[16, 0, 1, 2], "AF_NETLINK, 4 bytes");
        check(&[99, 0], "family 99, 2 bytes");
        check(&[2], "an address of 1 byte, too short for its family");
        let mut six = vec![10, 0, 0, 80, 0, 0, 0, 0];
        six.extend([0; 15]);
        six.push(1);
        check(&six, "AF_INET6 [::1]:80");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_address_of_some_kind(bytes in proptest::collection::vec(any::<u8>(), 0..140)) {
            prop_assert!(!address(&bytes).is_empty());
        }
    }
}
