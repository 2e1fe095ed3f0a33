//! `info control`: the processor's own state in words: control registers, descriptor tables, interrupts,
//! and what each CPU runs.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::count::counted;
use crate::event::Answer;
use crate::guest;
use crate::symbols::unwind::RegisterSet;

/// Bits and what they mean when set (Intel SDM vol. 3, 2.5 and 2.2.1).
const CR0: [(u32, &str); 7] = [
    (0, "protected mode"),
    (1, "monitor coprocessor"),
    (3, "task switched: the FPU traps"),
    (5, "FPU errors are exceptions"),
    (16, "read-only pages bind the kernel too"),
    (18, "alignment checks"),
    (31, "paging"),
];
const CR4: [(u32, &str); 13] = [
    (3, "debug extensions"),
    (4, "large pages"),
    (5, "64-bit page entries"),
    (6, "machine checks"),
    (7, "global pages"),
    (9, "SSE"),
    (10, "SSE exceptions"),
    (11, "user-mode instruction prevention"),
    (12, "5-level paging"),
    (16, "fs and gs base instructions"),
    (17, "address-space ids"),
    (20, "no execution of user pages"),
    (21, "no access to user pages"),
];
const EFER: [(u32, &str); 4] = [
    (0, "syscall"),
    (8, "long mode enabled"),
    (10, "long mode active"),
    (11, "no-execute pages"),
];

impl Engine {
    pub(super) fn control_state(&mut self) -> Result<Answer, Trouble> {
        let mut lines = Vec::new();
        for (name, bits) in [("cr0", &CR0[..]), ("cr4", &CR4[..]), ("efer", &EFER[..])] {
            let value = self.register(name)?;
            lines.push(format!("{name}: {value:#x}: {}", set(value, bits)));
        }
        let (cr3, cr2) = (self.register("cr3")?, self.register("cr2")?);
        lines.push(format!(
            "cr3: {cr3:#x}: outermost page table at physical {:#x}, address-space id {}",
            cr3 & 0x000f_ffff_ffff_f000,
            cr3 & 0xfff
        ));
        lines.push(format!("cr2: {cr2:#x}: the last address that faulted"));
        let flags = self.register("eflags")?;
        lines.push(format!(
            "interrupts: {}, I/O privilege level {}, direction {}",
            if flags >> 9 & 1 == 1 {
                "taken (IF is set)"
            } else {
                "held back (IF is clear)"
            },
            flags >> 12 & 3,
            if flags >> 10 & 1 == 1 { "down" } else { "up" },
        ));
        lines.push(format!("privilege level: {}", self.register("cs")? & 3));
        lines.extend(self.tables());
        lines.extend(self.cpus());
        Ok(Answer::Text(lines))
    }

    /// The stub's registers have no descriptor tables; QEMU's monitor tells them.
    fn tables(&mut self) -> Vec<String> {
        let text = match self.target.monitor("info registers -a") {
            Ok(text) => text,
            Err(error) => return vec![format!("idt, gdt: not known, {error}")],
        };
        let of_cpu = section(&text, self.vcpu.0);
        [("IDT", "idt", 16), ("GDT", "gdt", 8)]
            .into_iter()
            .map(|(key, name, size)| match table(of_cpu, key) {
                Some((base, limit)) => format!(
                    "{name}: {base:#x}, {} of {size} bytes",
                    counted(limit.saturating_add(1) / size, "entry")
                ),
                None => format!("{name}: not known, QEMU's monitor does not tell it"),
            })
            .collect()
    }

    fn cpus(&mut self) -> Vec<String> {
        let cpus = self.info.vcpus;
        let Some(symbols) = &self.symbols else {
            return vec!["tasks and per-CPU areas: not known without a vmlinux".to_owned()];
        };
        let target = &mut self.target;
        let mut memory = |at: Addr, bytes: &mut [u8]| target.read(at, bytes).is_ok();
        let areas = match guest::cpu_areas(symbols, cpus, &mut memory) {
            Ok(areas) => areas,
            Err(error) => return vec![format!("per-CPU areas: not known, {error}")],
        };
        let mut lines = Vec::new();
        for (cpu, area) in areas.iter().enumerate() {
            let mut set = RegisterSet::from_names(|_| None);
            set.gs_base = Some(area.start.0);
            let task = match guest::current(symbols, &set, &mut memory) {
                Ok(task) => format!("runs {}", task.label()),
                Err(error) => format!("its task is not known, {error}"),
            };
            let preempt = match guest::preempt_count(symbols, area.start, &mut memory) {
                Ok(count) => preempt_words(count),
                Err(error) => format!("preempt count not known, {error}"),
            };
            lines.push(format!(
                "cpu{cpu}: per-CPU area {:#x}, {task}; {preempt}",
                area.start.0
            ));
        }
        lines
    }
}

fn set(value: u64, names: &[(u32, &str)]) -> String {
    let set: Vec<&str> = names
        .iter()
        .filter(|(bit, _)| value >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    set.join(", ")
}

/// The part of one CPU: `CPU#1` begins it. Empty where there is none of it.
pub(super) fn section(text: &str, cpu: u32) -> &str {
    let head = format!("CPU#{cpu}\n");
    let Some((_, rest)) = text.split_once(&head) else {
        return "";
    };
    &rest[..rest.find("CPU#").unwrap_or(rest.len())]
}

/// `IDT=     fffffe0000000000 00000fff`: base and limit.
pub(super) fn table(text: &str, key: &str) -> Option<(u64, u64)> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    let mut numbers = line.split_once('=')?.1.split_whitespace();
    let base = u64::from_str_radix(numbers.next()?, 16).ok()?;
    let limit = u64::from_str_radix(numbers.next()?, 16).ok()?;
    Some((base, limit))
}

/// include/linux/preempt.h; on x86 the highest bit is clear where the scheduler is wanted.
pub(super) fn preempt_words(count: u32) -> String {
    let depths = [
        ("preemption disabled", count & 0xff),
        ("soft interrupts", count >> 8 & 0xff),
        ("hard interrupts", count >> 16 & 0xf),
        ("NMIs", count >> 20 & 0xf),
    ];
    let mut words: Vec<String> = depths
        .iter()
        .filter(|(_, depth)| *depth > 0)
        .map(|(what, depth)| format!("{what} {depth}"))
        .collect();
    if count >> 31 == 0 {
        words.push("a reschedule is wanted".to_owned());
    }
    if words.is_empty() {
        words.push("nothing is held".to_owned());
    }
    format!("preempt count {count:#x}: {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_from_the_monitors_text() {
        let text = "\nCPU#0\nRAX=0\nGDT=     fffffe0000001000 0000007f\nIDT=     fffffe0000000000 00000fff\n\nCPU#1\nGDT=     fffffe0000041000 0000007f\n";
        let first = section(text, 0);
        assert_eq!(table(first, "IDT"), Some((0xffff_fe00_0000_0000, 0xfff)));
        assert_eq!(
            table(section(text, 1), "GDT"),
            Some((0xffff_fe00_0004_1000, 0x7f))
        );
        assert_eq!(table(section(text, 1), "IDT"), None);
        assert_eq!(section(text, 2), "", "another CPU's is not its own");
    }

    #[test]
    fn the_preempt_count_is_taken_apart() {
        assert_eq!(
            preempt_words(0x8001_0002),
            "preempt count 0x80010002: preemption disabled 2, hard interrupts 1"
        );
        assert!(preempt_words(0).contains("a reschedule is wanted"));
        assert!(preempt_words(0x8000_0000).contains("nothing is held"));
    }
}
