//! What lies behind a call's argument: a descriptor's file, the bytes or the structure that a pointer
//! points to.

use super::engine::Engine;
use super::expression::escaped;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::count::counted;
use crate::guest::{self, sockets};
use crate::symbols::types::{Type, TypeId};
use crate::symbols::{Parameter, TypedValue, ValuePlace};

/// Bytes of a buffer that are shown.
const SHOWN: u64 = 64;

/// Elements of an array of structures that are shown.
const ELEMENTS: u64 = 4;

/// As long as any socket address is (`struct sockaddr_storage`).
const LONGEST_ADDRESS: u64 = 128;

/// An argument that may point to something, with the types both sides give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointed {
    pub(super) kernel: Parameter,
    pub(super) app: Option<Parameter>,
    pub(super) bits: u64,
    /// The argument behind it, which may be its length.
    pub(super) next: Option<(Parameter, u64)>,
}

impl Engine {
    /// The file of an argument that is called a descriptor.
    pub(super) fn descriptor(&mut self, pointed: &Pointed) -> Option<String> {
        let number = self.reading(|symbols, _| match symbols.plain_type(pointed.kernel.of).1 {
            Type::Number { size: 4 | 8, .. } => pointed.kernel.name.ends_with("fd"),
            _ => false,
        })?;
        if !number {
            return None;
        }
        let fd = pointed.bits & 0xffff_ffff;
        if fd == u64::from(AT_FDCWD.cast_unsigned()) {
            return Some("the working directory (AT_FDCWD)".to_owned());
        }
        let task = self.running_task().map(|task| task.addr);
        let found = match task {
            Ok(task) => self
                .reading(|symbols, memory| guest::file_behind(symbols, task, fd, memory))?
                .map_err(|error| error.to_string()),
            Err(Trouble::Failed(failure)) => Err(failure.to_string()),
            Err(_) => return None,
        };
        Some(match found {
            Ok(Some(file)) => file,
            Ok(None) => "no open file".to_owned(),
            Err(why) => format!("its file is not known: {why}"),
        })
    }

    /// Lines about what a pointer points to, by the application's type where that says more.
    pub(super) fn contents(&mut self, pointed: &Pointed) -> Vec<String> {
        let at = Addr(pointed.bits);
        let app = pointed.app.as_ref().and_then(|app| self.pointee(app.of));
        let kernel = self.pointee(pointed.kernel.of);
        // What the call is to fill in is as it was before.
        let now = match app.or(kernel) {
            Some(to) if self.is_constant(to) => "",
            _ if kernel.is_some_and(|to| self.is_constant(to)) => "",
            _ => "before the call: ",
        };
        let record = [app, kernel]
            .into_iter()
            .flatten()
            .find_map(|to| self.record_name(to).map(|name| (to, name)));
        if let Some((of, name)) = record {
            return self.record_contents(pointed, (of, &name), now);
        }
        let small = kernel.or(app).map_or(0, |to| self.size(to));
        match (small, self.length(pointed)) {
            (0 | 1, Some(len)) => vec![match self.bytes(at, len) {
                Some(text) => format!("{now}{}: {text}", counted(len, "byte")),
                None => format!("{}, not mapped (yet)", counted(len, "byte")),
            }],
            // A text up to its zero stands beside the address already.
            (0 | 1, None) => Vec::new(),
            _ => kernel
                .or(app)
                .and_then(|of| self.text_there(of, at))
                .map(|text| format!("{now}{text}"))
                .into_iter()
                .collect(),
        }
    }

    fn record_contents(
        &mut self,
        pointed: &Pointed,
        (of, name): (TypeId, &str),
        now: &str,
    ) -> Vec<String> {
        let at = Addr(pointed.bits);
        let unmapped = || vec![format!("nothing is mapped at {:#x} (yet)", at.0)];
        if name.starts_with("sockaddr") {
            // Where the length is a pointer, the call fills both in.
            let Some(len) = self.length(pointed) else {
                return vec![format!("a struct {name} that the call fills in")];
            };
            let mut bytes = vec![0; usize::try_from(len.min(LONGEST_ADDRESS)).unwrap_or(0)];
            return match self.target.read(at, &mut bytes) {
                Ok(()) => vec![format!("{now}{}", sockets::address(&bytes))],
                Err(_) => unmapped(),
            };
        }
        if name == "iovec" {
            let count = pointed.next.as_ref().map_or(1, |(_, count)| *count);
            return self.pieces(of, at, count);
        }
        let Some(text) = self.text_there(of, at) else {
            return unmapped();
        };
        let mut lines = vec![format!("{now}struct {name} {text}")];
        if name.ends_with("msghdr") {
            let member = |engine: &mut Self, path| engine.member_number(of, at, path);
            let list = member(self, "msg_iov");
            let count = member(self, "msg_iovlen");
            let vector = self.member_pointee(of, "msg_iov");
            if let (Some(list), Some(count), Some(vector)) = (list, count, vector) {
                lines.extend(self.pieces(vector, Addr(list), count));
            }
            let length = member(self, "msg_namelen").unwrap_or(0);
            if let Some(name) = member(self, "msg_name").filter(|name| *name != 0 && length > 0) {
                let mut bytes = vec![0; usize::try_from(length.min(LONGEST_ADDRESS)).unwrap_or(0)];
                if self.target.read(Addr(name), &mut bytes).is_ok() {
                    lines.push(format!("to or from {}", sockets::address(&bytes)));
                }
            }
        }
        lines
    }

    /// The buffers of an array of `struct iovec`.
    fn pieces(&mut self, of: TypeId, at: Addr, count: u64) -> Vec<String> {
        let size = self.size(of);
        let mut lines = Vec::new();
        for i in 0..count.min(ELEMENTS) {
            let piece = at.wrapping_add(i.wrapping_mul(size));
            let base = self.member_number(of, piece, "iov_base");
            let len = self.member_number(of, piece, "iov_len");
            let (Some(base), Some(len)) = (base, len) else {
                lines.push(format!("iov[{i}] is not mapped (yet)"));
                break;
            };
            let text = self.bytes(Addr(base), len);
            let text = text.map_or_else(String::new, |text| format!(": {text}"));
            lines.push(format!(
                "iov[{i}] = {} at {base:#x}{text}",
                counted(len, "byte")
            ));
        }
        if count > ELEMENTS {
            lines.push(format!("… {} more", count - ELEMENTS));
        }
        lines
    }

    /// How many bytes the argument behind says there are.
    fn length(&mut self, pointed: &Pointed) -> Option<u64> {
        let (parameter, bits) = pointed.next.as_ref()?;
        let size = self.reading(|symbols, _| match symbols.plain_type(parameter.of).1 {
            Type::Number { size, .. } => Some(size),
            _ => None,
        })??;
        let named = ["len", "size", "siz", "count", "nbytes"]
            .iter()
            .any(|end| parameter.name.ends_with(end));
        let bits = if size == 4 { bits & 0xffff_ffff } else { *bits };
        named.then_some(bits)
    }

    /// So many bytes as text, cut where they are too many to show.
    fn bytes(&mut self, at: Addr, len: u64) -> Option<String> {
        let shown = usize::try_from(len.min(SHOWN)).ok()?;
        let mut bytes = vec![0; shown];
        self.target.read(at, &mut bytes).ok()?;
        let text: String = bytes.iter().map(|byte| escaped(*byte)).collect();
        let dots = if len > SHOWN { "…" } else { "" };
        Some(format!("\"{}\"{dots}", text.replace("\\'", "'")))
    }

    /// What an address is, and the band of the layout it lies in.
    pub(super) fn whose_memory(&mut self, at: Addr) -> Option<String> {
        let info = self.address_info(at).ok()?;
        let band = info.region.as_ref().map(|region| region.band.clone());
        let what = info.is.into_iter().next().map(|one| one.what);
        let what = what.or(info.region.map(|region| region.what))?;
        Some(match band {
            Some(band) if !what.contains(&band) => format!("{what} ({band})"),
            _ => what,
        })
    }

    fn text_there(&mut self, of: TypeId, at: Addr) -> Option<String> {
        let there = TypedValue {
            of,
            place: ValuePlace::Memory(at),
            bits: None,
        };
        self.typed_text(&there).ok()
    }

    fn member_number(&mut self, of: TypeId, at: Addr, path: &str) -> Option<u64> {
        self.reading(|symbols, memory| {
            let (offset, of) = symbols.field(of, path)?;
            let there = TypedValue {
                of,
                place: ValuePlace::Memory(at.wrapping_add(offset)),
                bits: None,
            };
            symbols.value_number(&there, memory).ok()
        })?
    }

    fn member_pointee(&mut self, of: TypeId, path: &str) -> Option<TypeId> {
        let (_, of) = self.reading(|symbols, _| symbols.field(of, path))??;
        self.pointee(of)
    }

    fn pointee(&mut self, of: TypeId) -> Option<TypeId> {
        self.reading(|symbols, _| match symbols.plain_type(of).1 {
            Type::Pointer { to, .. } => Some(to),
            _ => None,
        })?
    }

    fn size(&mut self, of: TypeId) -> u64 {
        self.reading(|symbols, _| symbols.size_of(of)).unwrap_or(0)
    }

    fn record_name(&mut self, of: TypeId) -> Option<String> {
        self.reading(|symbols, _| match symbols.plain_type(of).1 {
            Type::Record { name, members, .. } if !members.is_empty() => Some(name),
            _ => None,
        })?
    }

    fn is_constant(&mut self, of: TypeId) -> bool {
        let constant = self.reading(|symbols, _| {
            matches!(
                symbols.type_of(of),
                Type::Qualified {
                    keyword: "const",
                    ..
                }
            )
        });
        constant.unwrap_or(false)
    }
}

/// Stands for the working directory where a folder's descriptor is taken (include/uapi/linux/fcntl.h).
const AT_FDCWD: i32 = -100;
