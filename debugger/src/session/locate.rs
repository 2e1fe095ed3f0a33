//! A location as the user writes it → addresses.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::command::Location;
use crate::guest::GIVE_VMLINUX;
use crate::origin::Origin;
use crate::symbols::{Pattern, Symbol, Symbols, stem};

/// How many names an error offers.
const OFFERED: usize = 4;

/// The most inlined copies of one function that are stopped at.
const MOST_COPIES: usize = 500;

/// Where a breakpoint stands.
#[derive(Debug)]
pub(super) struct Stands {
    pub(super) places: Vec<Addr>,
    /// What was left out.
    pub(super) note: Option<String>,
}

impl Stands {
    pub(super) const fn nowhere() -> Self {
        Self {
            places: Vec::new(),
            note: None,
        }
    }
}

impl Engine {
    /// Every place a location stands for, by address; never empty.
    pub(super) fn locate(&mut self, location: &Location) -> Result<Vec<Addr>, Trouble> {
        match location {
            Location::Addr(addr) => Ok(vec![*addr]),
            Location::Expression(text) => {
                let value = self.evaluate(text)?;
                let bits = value.bits.or(value.at.map(|at| at.0)).ok_or_else(|| {
                    Trouble::new(
                        format!("going to '{text}'"),
                        "it is no address",
                        "write an address or a symbol",
                    )
                })?;
                Ok(vec![Addr(bits)])
            }
            Location::Symbol { name, origin } => self.locate_symbol(name, origin.as_deref()),
            Location::Line { file, line } => self.locate_line(file.as_deref(), *line),
            Location::Crossing(filter) => self.locate_crossing(filter),
        }
    }

    /// Every place where a breakpoint on a location is to stop: of a function its inlined copies as
    /// well.
    pub(super) fn locate_stops(&mut self, location: &Location) -> Result<Stands, Trouble> {
        let mut places = self.locate(location)?;
        let mut note = None;
        if let (Location::Symbol { name, origin }, Some(symbols)) = (location, &self.symbols) {
            let copies = symbols.copies(name, file_of(origin.as_deref()), MOST_COPIES);
            if copies.more {
                note = Some(format!(
                    "it has more than {MOST_COPIES} inlined copies; it stands at the first {MOST_COPIES}"
                ));
            }
            let copies = copies.entries.into_iter();
            places.extend(copies.filter(|at| self.is_reachable(symbols, *at, origin.as_deref())));
        }
        places.sort_unstable();
        places.dedup();
        Ok(Stands { places, note })
    }

    /// A function's own code; of one that has none its inlined copies.
    fn locate_symbol(&self, name: &str, origin: Option<&str>) -> Result<Vec<Addr>, Trouble> {
        let tried = || format!("looking for {name}");
        let symbols = self.symbols_or(tried)?;
        let found = self.named(symbols, name, origin);
        let bodies = self.reachable(symbols, symbols.bodies(name), origin);
        let mut code: Vec<Addr> = found
            .iter()
            .chain(&bodies)
            .filter(|symbol| symbol.kind.is_code())
            .map(|symbol| symbol.addr)
            .collect();
        code.sort_unstable();
        if !code.is_empty() {
            return Ok(code);
        }
        let copies = symbols.copies(name, file_of(origin), MOST_COPIES);
        let mut copies = copies.entries;
        copies.retain(|at| self.is_reachable(symbols, *at, origin));
        if !copies.is_empty() {
            return Ok(copies);
        }
        if let Some(symbol) = found.first() {
            return Err(Trouble::new(
                tried(),
                format!("it is data, at {:#x}, not code", symbol.addr.0),
                format!("'watch {name}' stops where it is written"),
            ));
        }
        let elsewhere = self.named(symbols, name, None);
        let next = match (origin, elsewhere.is_empty()) {
            (Some(_), false) => {
                let choices: Vec<String> = elsewhere
                    .iter()
                    .map(|symbol| format!("{}:{name}", symbol.origin))
                    .collect();
                format!("there is {}", choices.join(", "))
            }
            _ => match offers(symbols, name) {
                Some(offers) => format!("similar: {offers}"),
                None => "'symbols PATTERN' finds names".to_owned(),
            },
        };
        let what = origin.map_or_else(String::new, |origin| format!(" of origin {origin}"));
        Err(Trouble::new(
            tried(),
            format!("no symbol{what} has this name"),
            next,
        ))
    }

    /// Symbols of this name that lie in the address space.
    pub(super) fn named<'a>(
        &self,
        symbols: &'a Symbols,
        name: &str,
        origin: Option<&str>,
    ) -> Vec<Symbol<'a>> {
        self.reachable(symbols, symbols.lookup(name), origin)
    }

    /// Those of that origin that lie in the address space; not those of the application linked into
    /// a kernel that runs it as a program of its own.
    fn reachable<'a>(
        &self,
        symbols: &'a Symbols,
        found: impl IntoIterator<Item = Symbol<'a>>,
        origin: Option<&str>,
    ) -> Vec<Symbol<'a>> {
        let twin = self.has_twin();
        let unused = |symbol: &Symbol<'_>| {
            twin && symbols.in_kernel_image(symbol.addr) && symbol.origin.is_app_side()
        };
        found
            .into_iter()
            .filter(|symbol| symbol.kind.is_address())
            .filter(|symbol| {
                origin.is_none_or(|wanted| match file_of(origin) {
                    Some(file) => symbols.is_defined_in(symbol, file),
                    None => matches(symbol.origin, wanted),
                })
            })
            .filter(|symbol| !unused(symbol))
            .collect()
    }

    /// As [`Self::reachable`], of code that has no symbol of its own.
    fn is_reachable(&self, symbols: &Symbols, at: Addr, origin: Option<&str>) -> bool {
        let here = symbols.origin(at);
        let unused = self.has_twin() && symbols.in_kernel_image(at) && here.is_app_side();
        let wanted = origin.filter(|_| file_of(origin).is_none());
        !unused && wanted.is_none_or(|wanted| matches(here, wanted))
    }

    fn locate_line(&mut self, file: Option<&str>, line: u32) -> Result<Vec<Addr>, Trouble> {
        let current;
        let file = match file {
            Some(file) => file,
            None => {
                current = self.selected_place()?.file.ok_or_else(|| {
                    Trouble::new(
                        format!("looking for line {line}"),
                        "the selected frame has no source file",
                        "write FILE:LINE",
                    )
                })?;
                &current
            }
        };
        let tried = || format!("looking for {file}:{line}");
        let symbols = self.symbols_or(tried)?;
        let found = symbols.first_of_each_block(symbols.line_addresses(file, line));
        if found.is_empty() {
            return Err(Trouble::new(
                tried(),
                match symbols.line_addresses(file, 1).is_empty() {
                    true => "no code comes from a file of this name",
                    false => "no code comes from that line or one behind it",
                },
                "'info line' and 'list' show lines with code",
            ));
        }
        Ok(found)
    }

    pub(super) fn symbols_or(&self, tried: impl Fn() -> String) -> Result<&Symbols, Trouble> {
        self.symbols.as_ref().ok_or_else(|| {
            Trouble::new(
                tried(),
                "no vmlinux was given, so no names are known",
                "'file VMLINUX' reads one; or write an address",
            )
        })
    }

    /// As [`Self::symbols_or`], where a kernel's own names, which have no types, are not enough.
    pub(super) fn types_or(&self, tried: impl Fn() -> String) -> Result<&Symbols, Trouble> {
        let symbols = self.symbols_or(&tried)?;
        match symbols.are_of_memory() {
            false => Ok(symbols),
            true => Err(Trouble::new(
                tried(),
                "no vmlinux was given, so no types are known",
                GIVE_VMLINUX,
            )),
        }
    }
}

/// `tcp.c:tcp_push` has a file before the name.
fn file_of(origin: Option<&str>) -> Option<&str> {
    origin.filter(|origin| origin.contains('.'))
}

/// `kernel` is any part of the kernel, `kernel:fs` that one, `app` the application without its libc.
fn matches(origin: Origin, wanted: &str) -> bool {
    match wanted {
        "kernel" => origin.is_kernel_side(),
        _ => wanted.parse() == Ok(origin),
    }
}

fn offers(symbols: &Symbols, name: &str) -> Option<String> {
    let pattern = Pattern::new(name);
    let mut found: Vec<&str> = symbols
        .matching(&pattern)
        .filter(|symbol| symbol.kind.is_code())
        .map(|symbol| stem(symbol.name))
        .collect();
    found.sort_by_key(|found| (found.len(), *found));
    found.dedup();
    found.truncate(OFFERED);
    Some(found.join(", ")).filter(|text| !text.is_empty())
}
