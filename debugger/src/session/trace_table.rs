//! What the symbols of an image say → what a probe looks for.

use std::path::Path;

use super::profile_file;
use super::trace_error::TraceError;
use crate::addr::{AddrRange, AddrRanges};
use crate::symbols::{Kind, Symbols};
use crate::trace::call_sites::call_sites;
use crate::trace::sites::{Code, Ranges, SiteTable};

/// Functions and entry points, as sites for a probe, and where the application lies in the kernel image.
///
/// # Errors
/// When the symbols or the profile cannot be read.
pub(super) fn site_table(
    vmlinux: &Path,
    twin: Option<&Path>,
    profile: Option<&Path>,
) -> Result<(SiteTable, AddrRanges), TraceError> {
    Ok(table_of(&open_symbols(vmlinux, twin, profile)?))
}

pub(super) fn open_symbols(
    vmlinux: &Path,
    twin: Option<&Path>,
    profile: Option<&Path>,
) -> Result<Symbols, TraceError> {
    let own = profile.map(profile_file::read).transpose()?;
    let symbols = Symbols::open(vmlinux, twin)?;
    Ok(match own {
        Some(own) => symbols.with_profile(own),
        None => symbols,
    })
}

pub(super) fn table_of(symbols: &Symbols) -> (SiteTable, AddrRanges) {
    let boundary = symbols.boundary();
    let ranges = Ranges {
        app_text: boundary.app_text.clone(),
        entry_text: boundary.entry_text,
    };
    let code = symbols
        .iter()
        .filter(|symbol| symbol.kind.is_code())
        .map(|symbol| Code {
            name: symbol.name,
            range: AddrRange::new(symbol.addr, symbol.addr + symbol.size),
            origin: symbol.origin,
            label: symbol.kind == Kind::Label,
            global: symbol.global,
            file: symbol.file,
        });
    let mut table = SiteTable::build(code, &ranges, symbols.profile());
    table.calls = call_sites(symbols);
    (table, ranges.app_text)
}
