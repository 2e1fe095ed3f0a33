//! Who makes the crossings of a demo: what the map says before, and what a trace finds.

use std::sync::atomic::AtomicBool;

use debugger::crossing::{CrossingKind, Mode};
use debugger::session::store;
use debugger::session::trace::{TraceOptions, trace};
use debugger::symbols::Symbols;
use debugger::trace::call_sites::{Enters, call_sites};

#[test]
#[ignore = "boots an image"]
fn every_call_of_a_demo_is_made_where_the_map_has_it() {
    let image = store::image("syscalls").unwrap();
    for mode in [Mode::Linux, Mode::Ukl, Mode::Bypass, Mode::Shortcut] {
        let twin = (mode == Mode::Linux).then(|| image.twin());
        let symbols = Symbols::open(&image.vmlinux(), twin.as_deref()).unwrap();
        let map = call_sites(&symbols);
        assert!(
            map.iter().any(|site| site.enters == Enters::No),
            "strlen and the like"
        );
        let mut options = TraceOptions::new(mode);
        options.calls = Some(300);
        let cancel = AtomicBool::new(false);
        let report = trace(&image, &options, &cancel, &mut |_| {})
            .unwrap()
            .report;
        for site in &report.sites {
            assert!(map.contains(site), "{mode}: {site:?}");
            assert_ne!(
                site.enters,
                Enters::No,
                "{mode}: the kernel was reached by {site:?}"
            );
        }
        let mut hot = 0;
        for class in &report.classes {
            let made = matches!(
                class.kind,
                CrossingKind::Syscall | CrossingKind::Bypass | CrossingKind::Shortcut
            );
            let uses = report.uses.iter().filter(|made| made.class == class.id);
            let count: u64 = uses.clone().map(|made| made.count).sum();
            assert_eq!(
                count,
                if made { class.count } else { 0 },
                "{mode} {class:?}"
            );
            if class.call == "getppid" && !class.interrupted {
                let places: Vec<_> = uses.map(|made| &report.sites[made.site.unwrap()]).collect();
                assert_eq!(places.len(), 1, "{mode}: it is called in one place");
                assert!(places[0].place().starts_with("main.c:"), "{mode}");
                hot += class.count;
            }
        }
        assert!(hot >= 290, "{mode}: {hot}");
    }
}
