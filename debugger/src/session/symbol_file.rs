//! `file`: the names of the machine's kernel, given while it is debugged already.

use std::path::Path;

use super::boot::read_symbols;
use super::engine::Engine;
use super::listing::Decoded;
use super::trouble::Trouble;
use crate::count::counted;
use crate::event::Answer;
use crate::symbols::Symbols;

impl Engine {
    /// Takes the names from another vmlinux, if it is that of the kernel that runs, and looks again
    /// for what breakpoints wait for.
    pub(super) fn symbol_file(&mut self, path: &str) -> Result<Answer, Trouble> {
        let tried = || format!("reading the symbols of {path}");
        if self.target.is_file() {
            return Err(Trouble::new(
                tried(),
                "this session is about another file",
                "open one on it: 'uklscope exec --vmlinux FILE'",
            ));
        }
        let reading = read_symbols(Path::new(path).to_owned(), None, None);
        let symbols = reading
            .join()
            .unwrap_or_else(|_| Err(Trouble::new(tried(), "the reader failed", "report this")))?;
        let count = symbols.len();
        let before = self.symbols.replace(symbols);
        let checked = self
            .locate_kernel()
            .and_then(|()| self.check_identity(false));
        if let Err(trouble) = checked {
            self.symbols = before;
            return Err(trouble);
        }
        // What was found out by the names before.
        self.doors = None;
        self.prototypes.clear();
        self.unwound = None;
        self.decoded = Decoded::default();
        self.since = None;
        self.frame = 0;
        self.info.lacks = self.symbols.as_ref().map_or_else(Vec::new, Symbols::lacks);
        self.info.mode = self.mode_of_guest();
        self.announce();
        self.resolve_pending()?;
        Ok(Answer::Done(format!(
            "{} of {path}, whose build-id the machine's kernel has",
            counted(count, "name")
        )))
    }
}
