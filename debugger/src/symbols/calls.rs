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
    /// The function that the kernel's table has for a number.
    #[must_use]
    pub fn call_implementation(&self, number: u64) -> Option<Addr> {
        let table = self.lookup("sys_call_table");
        let table = table.first()?;
        let offset = number
            .checked_mul(8)
            .filter(|offset| *offset < table.size)?;
        let bytes = self.initial(table.addr + offset, 8)?;
        let implementation = Addr(u64::from_le_bytes(bytes.try_into().ok()?));
        Some(self.kernel.slide.moved(implementation))
    }

    /// Every call's number and name.
    pub fn calls(&self) -> impl Iterator<Item = (u64, String)> {
        let table = self.lookup("sys_call_table");
        let size = table.first().map_or(0, |table| table.size);
        (0..size / 8).filter_map(|number| Some((number, self.call_name(number)?)))
    }

    /// `None` for a number the kernel has no call for.
    #[must_use]
    pub fn call_name(&self, number: u64) -> Option<String> {
        let implementation = self.call_implementation(number)?;
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
