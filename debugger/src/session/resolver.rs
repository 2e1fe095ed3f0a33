//! Names for operands, from the symbols of the image.

use crate::disasm::{Reference, Resolve, Resolved};
use crate::symbols::Symbols;

impl Resolve for Symbols {
    fn resolve(&self, reference: Reference) -> Option<Resolved> {
        match reference {
            Reference::Address(addr) => {
                let symbol = self.at(addr)?;
                Some(Resolved {
                    name: symbol.name.to_owned(),
                    offset: addr - symbol.addr,
                    origin: symbol.origin,
                })
            }
            Reference::PerCpu(offset) => {
                let symbol = self.per_cpu_at(offset)?;
                Some(Resolved {
                    name: symbol.name.to_owned(),
                    offset: offset - symbol.addr.0,
                    origin: symbol.origin,
                })
            }
        }
    }
}
