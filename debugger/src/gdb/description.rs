//! The target's own account of its registers: `target.xml` and the documents it includes.
//!
//! Source: "Target Descriptions" in gdb's manual. A register's number is `regnum`, else one more than
//! the register's before it; in a `g` reply the registers lie in the order of their numbers.

use std::collections::BTreeMap;

/// Includes may nest; a document that includes itself is refused here.
const DEEPEST: usize = 8;

/// More than any target has, so that a damaged description does not become a huge layout.
const MOST_REGISTERS: usize = 4096;
const WIDEST_BITS: u32 = 65536;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    #[error("reading the target description {document}: {found}")]
    NoXml { document: String, found: String },
    #[error("the target description {document} includes others more than {DEEPEST} deep")]
    TooDeep { document: String },
    #[error("the target description includes {document}, and the stub does not give it: {found}")]
    NotGiven { document: String, found: String },
    #[error("register '{register}' of {document} has {found} where its {attribute} belongs")]
    BadRegister {
        document: String,
        register: String,
        attribute: &'static str,
        found: String,
    },
    #[error("register {0} is described twice")]
    Twice(u32),
    #[error("the target description has more than {MOST_REGISTERS} registers")]
    TooMany,
    #[error("the target description names no registers")]
    NoRegisters,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterDefinition {
    pub name: String,
    pub bits: u32,
    /// The protocol's number, as in `p10`.
    pub number: u32,
    /// Bytes from the start of a `g` reply.
    pub offset: usize,
    /// `int64`, `code_ptr`, `x64_eflags`, `vec128`; may be empty.
    pub type_name: String,
    /// `org.gnu.gdb.i386.core`
    pub feature: String,
}

impl RegisterDefinition {
    /// Bytes in a `g` reply.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bits.div_ceil(8) as usize
    }
}

/// One named bit or range of bits of a flags register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagField {
    pub name: String,
    pub first_bit: u32,
    pub last_bit: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// `i386:x86-64`; empty where the target does not say.
    pub architecture: String,
    /// By number.
    pub registers: Vec<RegisterDefinition>,
    /// The fields of each flags type, by the type's name.
    pub flags: BTreeMap<String, Vec<FlagField>>,
}

impl Description {
    /// `resolve` gives the text of a document that `target.xml` includes.
    ///
    /// # Errors
    /// When a document is no XML, is not given, or describes a register without a size.
    pub fn parse(
        target_xml: &str,
        resolve: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Self, DescriptionError> {
        let mut reader = Reader {
            resolve,
            next_number: 0,
            description: Self::default(),
        };
        reader.document("target.xml", target_xml, 0)?;
        let mut description = reader.description;
        description.lay_out()?;
        Ok(description)
    }

    #[must_use]
    pub fn register(&self, name: &str) -> Option<&RegisterDefinition> {
        self.registers.iter().find(|register| register.name == name)
    }

    /// The register that holds the address of the next instruction.
    #[must_use]
    pub fn program_counter(&self) -> Option<&RegisterDefinition> {
        self.registers
            .iter()
            .find(|register| register.type_name == "code_ptr")
            .or_else(|| {
                ["rip", "eip", "pc"]
                    .iter()
                    .find_map(|name| self.register(name))
            })
    }

    #[must_use]
    pub fn stack_pointer(&self) -> Option<&RegisterDefinition> {
        ["rsp", "esp", "sp"]
            .iter()
            .find_map(|name| self.register(name))
    }

    /// Bytes of a whole `g` reply.
    #[must_use]
    pub fn size(&self) -> usize {
        self.registers
            .last()
            .map_or(0, |last| last.offset + last.size())
    }

    fn lay_out(&mut self) -> Result<(), DescriptionError> {
        if self.registers.is_empty() {
            return Err(DescriptionError::NoRegisters);
        }
        self.registers.sort_by_key(|register| register.number);
        if let Some(pair) = self
            .registers
            .windows(2)
            .find(|pair| pair[0].number == pair[1].number)
        {
            return Err(DescriptionError::Twice(pair[0].number));
        }
        let mut offset = 0;
        for register in &mut self.registers {
            register.offset = offset;
            offset += register.size();
        }
        Ok(())
    }
}

struct Reader<'a> {
    resolve: &'a mut dyn FnMut(&str) -> Result<String, String>,
    next_number: u32,
    description: Description,
}

impl Reader<'_> {
    fn document(&mut self, name: &str, text: &str, depth: usize) -> Result<(), DescriptionError> {
        if depth > DEEPEST {
            return Err(DescriptionError::TooDeep {
                document: name.to_owned(),
            });
        }
        let text = declare_xi(text);
        let options = roxmltree::ParsingOptions {
            allow_dtd: true,
            ..roxmltree::ParsingOptions::default()
        };
        let document =
            roxmltree::Document::parse_with_options(&text, options).map_err(|error| {
                DescriptionError::NoXml {
                    document: name.to_owned(),
                    found: error.to_string(),
                }
            })?;
        let root = document.root_element();
        let mut feature = String::new();
        // Document order: an include stands for the elements of the document it names.
        for node in root.descendants().filter(roxmltree::Node::is_element) {
            match node.tag_name().name() {
                "feature" => {
                    node.attribute("name")
                        .unwrap_or_default()
                        .clone_into(&mut feature);
                }
                "architecture" => {
                    node.text()
                        .unwrap_or_default()
                        .trim()
                        .clone_into(&mut self.description.architecture);
                }
                "include" => {
                    let href = node.attribute("href").unwrap_or_default();
                    let text =
                        (self.resolve)(href).map_err(|found| DescriptionError::NotGiven {
                            document: href.to_owned(),
                            found,
                        })?;
                    self.document(href, &text, depth + 1)?;
                }
                "flags" => self.flags(&node),
                "reg" => self.register(name, &feature, &node)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn flags(&mut self, node: &roxmltree::Node<'_, '_>) {
        let number = |node: &roxmltree::Node<'_, '_>, name| {
            node.attribute(name).and_then(|text| text.parse().ok())
        };
        let fields = node
            .children()
            .filter(|child| child.tag_name().name() == "field")
            .filter_map(|child| {
                let first_bit = number(&child, "start")?;
                Some(FlagField {
                    name: child.attribute("name").unwrap_or_default().to_owned(),
                    first_bit,
                    last_bit: number(&child, "end").unwrap_or(first_bit),
                })
            })
            .filter(|field| !field.name.is_empty())
            .collect();
        let id = node.attribute("id").unwrap_or_default().to_owned();
        self.description.flags.insert(id, fields);
    }

    fn register(
        &mut self,
        document: &str,
        feature: &str,
        node: &roxmltree::Node<'_, '_>,
    ) -> Result<(), DescriptionError> {
        let name = node.attribute("name").unwrap_or_default();
        let bad = |attribute, found: &str| DescriptionError::BadRegister {
            document: document.to_owned(),
            register: name.to_owned(),
            attribute,
            found: format!("'{found}'"),
        };
        if name.is_empty() {
            return Err(bad("name", ""));
        }
        let bits = node.attribute("bitsize").unwrap_or_default();
        let bits = bits
            .parse()
            .ok()
            .filter(|bits| (1..=WIDEST_BITS).contains(bits))
            .ok_or_else(|| bad("bitsize", bits))?;
        let number = match node.attribute("regnum") {
            Some(text) => text.parse().map_err(|_| bad("regnum", text))?,
            None => self.next_number,
        };
        self.next_number = number
            .checked_add(1)
            .ok_or_else(|| bad("regnum", &number.to_string()))?;
        if self.description.registers.len() == MOST_REGISTERS {
            return Err(DescriptionError::TooMany);
        }
        self.description.registers.push(RegisterDefinition {
            name: name.to_owned(),
            bits,
            number,
            offset: 0,
            type_name: node.attribute("type").unwrap_or_default().to_owned(),
            feature: feature.to_owned(),
        });
        Ok(())
    }
}

/// QEMU uses the prefix `xi:` without declaring it, which no XML reader accepts: the element is
/// read without its prefix.
fn declare_xi(text: &str) -> String {
    if text.contains("xmlns:xi") {
        text.to_owned()
    } else {
        text.replace("<xi:include", "<include")
            .replace("</xi:include", "</include")
    }
}

/// A description whose every include is the same text again, for a fuzzer.
pub fn decode_any(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut left = 4;
    let _ = Description::parse(&text, &mut |_| {
        left -= 1;
        (left > 0)
            .then(|| text.clone().into_owned())
            .ok_or_else(|| "no more".to_owned())
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What QEMU 7.2 sends for x86-64: read from its stub.
    const TARGET: &str = r#"<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target><architecture>i386:x86-64</architecture><xi:include href="i386-64bit.xml"/></target>"#;
    const I386_64BIT: &str = include_str!("../../tests/fixtures/i386-64bit.xml");

    fn parse(target: &str) -> Result<Description, DescriptionError> {
        Description::parse(target, &mut |name| match name {
            "i386-64bit.xml" => Ok(I386_64BIT.to_owned()),
            "self.xml" => Ok(r#"<t><include href="self.xml"/></t>"#.to_owned()),
            _ => Err("error 00".to_owned()),
        })
    }

    #[test]
    fn qemus_description_gives_the_layout_of_its_g_reply() {
        let description = parse(TARGET).unwrap();
        assert_eq!(description.architecture, "i386:x86-64");
        assert_eq!(description.size(), 608);
        let check = |name: &str, number, bits, offset| {
            let register = description.register(name).unwrap();
            assert_eq!(
                (register.number, register.bits, register.offset),
                (number, bits, offset),
                "{name}"
            );
        };
        check("rax", 0, 64, 0);
        check("rip", 16, 64, 128);
        check("eflags", 17, 32, 136);
        check("cs", 18, 32, 140);
        check("k_gs_base", 26, 64, 180);
        check("cr3", 29, 64, 204);
        check("st0", 33, 80, 236);
        check("mxcsr", 65, 32, 604);
        assert_eq!(description.program_counter().unwrap().name, "rip");
        assert_eq!(description.stack_pointer().unwrap().name, "rsp");
        let flags = &description.flags["x64_eflags"];
        assert!(flags.iter().any(|f| f.name == "IF" && f.first_bit == 9));
        assert!(
            flags
                .iter()
                .any(|f| (f.name.as_str(), f.first_bit, f.last_bit) == ("IOPL", 12, 13))
        );
    }

    #[test]
    fn numbers_that_leave_gaps_or_come_out_of_order() {
        let description = parse(
            r#"<target><feature name="f">
                 <reg name="late" bitsize="16" regnum="9"/>
                 <reg name="pc" bitsize="32" type="code_ptr" regnum="2"/>
                 <reg name="next" bitsize="1"/>
               </feature></target>"#,
        )
        .unwrap();
        let layout: Vec<_> = description
            .registers
            .iter()
            .map(|r| (r.name.as_str(), r.number, r.offset))
            .collect();
        assert_eq!(layout, [("pc", 2, 0), ("next", 3, 4), ("late", 9, 5)]);
        assert_eq!(description.size(), 7);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |target: &str, expected: &str| {
            let error = parse(target).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("<target/>", "names no registers");
        check("<target", "reading the target description target.xml");
        check(
            r#"<t><xi:include href="gone.xml"/></t>"#,
            "gone.xml, and the stub does not give it: error 00",
        );
        check(r#"<t><include href="self.xml"/></t>"#, "more than 8 deep");
        check(r#"<t><reg name="a"/></t>"#, "'a' of target.xml has ''");
        check(r#"<t><reg name="a" bitsize="0"/></t>"#, "bitsize");
        check(
            r#"<t><reg name="a" bitsize="8" regnum="4294967295"/></t>"#,
            "regnum",
        );
        check(
            r#"<t><reg name="a" bitsize="8" regnum="1"/><reg name="b" bitsize="8" regnum="1"/></t>"#,
            "register 1 is described twice",
        );
    }

    proptest! {
        #[test]
        fn any_text_is_taken(bytes: Vec<u8>) {
            decode_any(&bytes);
        }

        #[test]
        fn any_registers_are_laid_out_without_a_hole(bits in prop::collection::vec(1u32..600, 1..40)) {
            let registers: String = bits
                .iter()
                .enumerate()
                .map(|(i, bits)| format!(r#"<reg name="r{i}" bitsize="{bits}"/>"#))
                .collect();
            let description = parse(&format!("<target>{registers}</target>")).unwrap();
            let sizes: usize = bits.iter().map(|bits| bits.div_ceil(8) as usize).sum();
            prop_assert_eq!(description.size(), sizes);
        }
    }
}
