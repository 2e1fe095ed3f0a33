//! Names of calls where there is little room.

use std::borrow::Cow;

use super::text::fit;

/// Before what tells the kernel's handlers of interrupts and exceptions apart, whose kind stands beside.
const HANDLERS: [&str; 3] = ["asm_sysvec_", "asm_exc_", "asm_"];

/// The whole name, or as much of what tells it from others as fits. What stands before it, apart by a blank, stays.
#[must_use]
pub fn fit_name(name: &str, width: usize) -> Cow<'_, str> {
    if name.chars().count() <= width {
        return name.into();
    }
    let (before, own) = name.split_at(name.rfind(' ').map_or(0, |at| at + 1));
    match HANDLERS.iter().find_map(|all| own.strip_prefix(all)) {
        Some(own) => fit(&format!("{before}{own}"), width).into_owned().into(),
        None => fit(name, width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_handler_what_all_have_is_left_out_first() {
        let timer = "asm_sysvec_apic_timer_interrupt";
        assert_eq!(fit_name(timer, 31), timer);
        assert_eq!(fit_name(timer, 30), "apic_timer_interrupt");
        assert_eq!(fit_name(timer, 14), "apic_timer_in…");
        assert_eq!(fit_name("asm_exc_page_fault", 14), "page_fault");
        assert_eq!(fit_name("asm_common_interrupt", 16), "common_interrupt");
        assert_eq!(fit_name("e asm_exc_page_fault", 14), "e page_fault");
        assert_eq!(fit_name("sched_get_priority_max", 14), "sched_get_pri…");
        assert_eq!(fit_name("asm_exc_page_fault", 0), "");
    }
}
