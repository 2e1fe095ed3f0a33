//! System calls by number, from the kernel's own table: no list to grow stale.

use super::Symbols;
use crate::addr::Addr;

/// Names that the implementation has and the call has not.
const RENAMED: [(&str, &str); 8] = [
    ("newstat", "stat"),
    ("newfstat", "fstat"),
    ("newlstat", "lstat"),
    ("newfstatat", "newfstatat"),
    ("newuname", "uname"),
    ("sendfile64", "sendfile"),
    ("umount", "umount2"),
    ("fadvise64_64", "fadvise64"),
];

impl Symbols {
    /// `None` for a number the kernel has no call for.
    #[must_use]
    pub fn call_name(&self, number: u64) -> Option<String> {
        let table = self.lookup("sys_call_table");
        let table = table.first()?;
        let offset = number
            .checked_mul(8)
            .filter(|offset| *offset < table.size)?;
        let bytes = self.initial(table.addr + offset, 8)?;
        let implementation = Addr(u64::from_le_bytes(bytes.try_into().ok()?));
        let implementation = self.kernel.slide.moved(implementation);
        let name = self.at(implementation)?.name;
        let plain = ["__x64_sys_", "__ia32_sys_", "sys_", "__do_sys_"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))?;
        if plain == "ni_syscall" {
            return None;
        }
        let renamed = RENAMED.iter().find(|(name, _)| *name == plain);
        Some(renamed.map_or(plain, |(_, call)| call).to_owned())
    }
}
