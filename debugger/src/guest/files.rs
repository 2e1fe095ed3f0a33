//! What lies behind a file descriptor: a path, a socket with its two ends, a pipe.

use core::net::Ipv4Addr;

use super::path::path_of;
use super::sockets::family;
use super::{GuestError, Struct, read_field, read_word};
use crate::addr::Addr;
use crate::symbols::Symbols;
use crate::symbols::unwind::Memory;

/// File types in `i_mode` (include/uapi/linux/stat.h).
const S_IFMT: u64 = 0o170_000;
const S_IFSOCK: u64 = 0o140_000;
const S_IFIFO: u64 = 0o010_000;

const AF_INET: u64 = 2;

/// `None` where the task has no such descriptor open.
pub fn file_behind(
    symbols: &Symbols,
    task: Addr,
    fd: u64,
    memory: &mut Memory<'_>,
) -> Result<Option<String>, GuestError> {
    let tasks = Struct::named(symbols, "struct task_struct")?;
    let files = Addr(read_field(symbols, tasks, "files", task, memory)?);
    if files.0 == 0 {
        return Ok(None);
    }
    let table = Struct::named(symbols, "struct files_struct")?;
    let table = Addr(read_field(symbols, table, "fdt", files, memory)?);
    let descriptors = Struct::named(symbols, "struct fdtable")?;
    if fd >= read_field(symbols, descriptors, "max_fds", table, memory)? {
        return Ok(None);
    }
    let list = Addr(read_field(symbols, descriptors, "fd", table, memory)?);
    let file = read_word("files->fdt->fd[n]", list.wrapping_add(fd * 8), memory)?;
    match file {
        0 => Ok(None),
        file => name(symbols, Addr(file), memory).map(Some),
    }
}

fn name(symbols: &Symbols, file: Addr, memory: &mut Memory<'_>) -> Result<String, GuestError> {
    let files = Struct::named(symbols, "struct file")?;
    let inodes = Struct::named(symbols, "struct inode")?;
    let inode = Addr(read_field(symbols, files, "f_inode", file, memory)?);
    let mode = read_field(symbols, inodes, "i_mode", inode, memory)?;
    let number = read_field(symbols, inodes, "i_ino", inode, memory)?;
    match mode & S_IFMT {
        S_IFSOCK => {
            let socket = read_field(symbols, files, "private_data", file, memory)?;
            self::socket(symbols, Addr(socket), memory)
        }
        S_IFIFO => Ok(format!("pipe:[{number}]")),
        _ => path_of(symbols, file, memory),
    }
}

/// `socket:[TCP 127.0.0.1:80 ↔ 127.0.0.1:40000]`
fn socket(symbols: &Symbols, socket: Addr, memory: &mut Memory<'_>) -> Result<String, GuestError> {
    let sockets = Struct::named(symbols, "struct socket")?;
    let socks = Struct::named(symbols, "struct sock")?;
    let protocols = Struct::named(symbols, "struct proto")?;
    let sock = Addr(read_field(symbols, sockets, "sk", socket, memory)?);
    if sock.0 == 0 {
        return Ok("socket:[closed]".to_owned());
    }
    let of_sock = |path: &str, memory: &mut Memory<'_>| {
        let path = format!("__sk_common.{path}");
        read_field(symbols, socks, &path, sock, memory)
    };
    let protocol = Addr(of_sock("skc_prot", memory)?);
    let (at, _) = protocols.field(symbols, "name")?;
    let mut bytes = [0; 32];
    if !memory(protocol.wrapping_add(at), &mut bytes) {
        return Err(GuestError::Unreadable {
            what: "proto.name".to_owned(),
            addr: protocol,
        });
    }
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let protocol = bytes[..end].escape_ascii().to_string();
    let number = of_sock("skc_family", memory)?;
    if number != AF_INET {
        let family = family(u16::try_from(number).unwrap_or(u16::MAX));
        return Ok(format!("socket:[{protocol}, {family}]"));
    }
    let ip = |bits: u64| Ipv4Addr::from(u32::try_from(bits).unwrap_or(0).to_le_bytes());
    let here = ip(of_sock("skc_rcv_saddr", memory)?);
    let there = ip(of_sock("skc_daddr", memory)?);
    let port = of_sock("skc_num", memory)?;
    // As it goes over the wire: the most significant byte first.
    let far = u16::try_from(of_sock("skc_dport", memory)?)
        .unwrap_or(0)
        .swap_bytes();
    Ok(match far {
        0 => format!("socket:[{protocol} {here}:{port}]"),
        _ => format!("socket:[{protocol} {here}:{port} ↔ {there}:{far}]"),
    })
}
