//! The same layout for C: `include/uklscope_wire.h` is this text.

use alloc::format;
use alloc::string::String;

use crate::guest::{PROBES_MAGIC, STRUCT, WANT_BOUNDARY, WANT_FUNCTIONS};
use crate::layout::{CHUNK_HEADER_BYTES, CONTROL_BYTES, HEADER_BYTES, Policy, State};
use crate::record::{Kind, SWITCH_NUMBERS};
use crate::site::SiteFlags;
use crate::{MAGIC, VERSION};

/// The C header, whole.
#[must_use]
pub fn header() -> String {
    let mut text = String::from(
        "/* SPDX-License-Identifier: MIT OR Apache-2.0 */\n\
         /* The records of uklscope's probes. Generated from probes/wire: change it there. */\n\
         #ifndef UKLSCOPE_WIRE_H\n#define UKLSCOPE_WIRE_H\n\n",
    );
    let mut define = |name: &str, value: &str| {
        text.push_str(&format!("#define UKLSCOPE_{name} {value}\n"));
    };
    define("MAGIC", &format!("{MAGIC:#018x}ULL"));
    define("VERSION", &format!("{VERSION}"));
    define("HEADER_BYTES", &format!("{HEADER_BYTES}"));
    define("CONTROL_BYTES", &format!("{CONTROL_BYTES}"));
    define("CHUNK_HEADER_BYTES", &format!("{CHUNK_HEADER_BYTES}"));
    define("POLICY_LOSSLESS", &format!("{}", Policy::Lossless as u32));
    define("POLICY_FLIGHT", &format!("{}", Policy::Flight as u32));
    define("STATE_MADE", &format!("{}", State::Made as u32));
    define("STATE_RUNNING", &format!("{}", State::Running as u32));
    define("STATE_FINISHED", &format!("{}", State::Finished as u32));
    for kind in Kind::ALL {
        define(
            &format!("KIND_{}", kind.name()),
            &format!("{}", kind as u32),
        );
    }
    define("SWITCH_NUMBERS", &format!("{SWITCH_NUMBERS}"));
    define("SITE_LABEL", &format!("{}", SiteFlags::LABEL));
    define("SITE_SWITCHES", &format!("{}", SiteFlags::SWITCHES));
    define("SITE_END", &format!("{}", SiteFlags::END));
    define("SITE_LEAVES", &format!("{}", SiteFlags::LEAVES));
    define("SITE_RETURNS", &format!("{}", SiteFlags::RETURNS));
    define("SITE_QUIET", &format!("{}", SiteFlags::QUIET));
    define("SITE_STARTS", &format!("{}", SiteFlags::STARTS));
    define("SITE_STOPS", &format!("{}", SiteFlags::STOPS));
    define("SITE_OWN", &format!("{}", SiteFlags::OWN));
    define("PROBES_MAGIC", &format!("{PROBES_MAGIC:#018x}ULL"));
    define("WANT_BOUNDARY", &format!("{WANT_BOUNDARY}"));
    define("WANT_FUNCTIONS", &format!("{WANT_FUNCTIONS}"));
    text.push_str("\n#ifndef __ASSEMBLY__");
    text.push_str(STRUCTS);
    text.push_str(STRUCT);
    text.push_str("\n#endif /* __ASSEMBLY__ */\n#endif\n");
    text
}

const STRUCTS: &str = "
#ifdef __KERNEL__
#include <linux/types.h>
typedef u32 uklscope_u32;
typedef u64 uklscope_u64;
#else
#include <stdint.h>
typedef uint32_t uklscope_u32;
typedef uint64_t uklscope_u64;
#endif

/* kind << 28 | function */
#define UKLSCOPE_WORD(kind, function) ((uklscope_u32)(kind) << 28 | (function))
/* what a control's tail holds: whole chunks << 24 | records of the next one */
#define UKLSCOPE_TAKEN_CHUNKS(tail) ((tail) >> 24)
/* word << 32 | low half of the clock */
#define UKLSCOPE_RECORD(word, clock) ((uklscope_u64)(word) << 32 | (uklscope_u32)(clock))

struct uklscope_header {
	uklscope_u64 magic;
	uklscope_u32 version, vcpus, chunk_records, chunks, policy, reader;
	uklscope_u64 sites_offset, sites, total_bytes;
	uklscope_u32 state, closed;
	uklscope_u64 insns;
	uklscope_u32 gate;
};

struct uklscope_control {
	uklscope_u64 head, waits, waited_ns, lost, probe_line[12];
	uklscope_u64 tail, reader_line[15];
};

struct uklscope_chunk {
	uklscope_u64 sequence, clock, lost;
	uklscope_u32 used, vcpu;
	uklscope_u64 reserved[4];
	uklscope_u64 records[];
};

struct uklscope_site {
	uklscope_u64 address;
	uklscope_u32 word, flags;
};
";
