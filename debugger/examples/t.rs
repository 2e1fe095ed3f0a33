use debugger::qemu::image::Image;
use debugger::session::trace::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let dir = std::path::PathBuf::from(&a[1]);
    let image = Image::from_text(
        &dir,
        &std::fs::read_to_string(dir.join("image.toml")).unwrap(),
    )
    .unwrap();
    let mut o = TraceOptions::new(a[2].parse().unwrap());
    o.calls = Some(a[3].parse().unwrap());
    o.slow_clock = a.len() > 4;
    let t0 = std::time::Instant::now();
    let t = site_table(&image, o.mode).unwrap();
    println!(
        "sites {} functions {} in {:?}",
        t.sites.len(),
        t.functions.len(),
        t0.elapsed()
    );
    let t = trace(
        &image,
        &o,
        &std::sync::atomic::AtomicBool::new(false),
        &mut |n| println!("{} {:.1}M/s", n.events, n.events_per_s / 1e6),
    )
    .unwrap();
    println!("{}", String::from_utf8_lossy(&t.serial));
    println!(
        "wall {:?} {:?} events {} classes {} notes {:#?}",
        t.wall,
        t.counts,
        t.report.events,
        t.report.classes.len(),
        t.report.notes
    );
    for c in t.report.classes.iter().take(40) {
        println!(
            "{:9} {:40} n={:7} insns={:6} exact={} [{}..{}] int={} {:?}",
            c.kind,
            c.call,
            c.count,
            c.instructions,
            c.exact,
            c.min,
            c.max,
            c.interrupted,
            c.phases.named().map(|x| x.1)
        );
    }
    fn show(n: &debugger::trace::report::Node, d: usize) {
        println!(
            "{:w$}{} [{}] own {} total {} x{}",
            "",
            n.symbol,
            n.origin,
            n.own,
            n.total,
            n.calls,
            w = d * 2
        );
        for c in &n.children {
            show(c, d + 1)
        }
    }
    for call in ["getppid", "read", "tcp_recvmsg"] {
        if let Some(c) = t.report.classes.iter().find(|c| c.call == call) {
            show(&c.path, 1);
        }
    }
    std::fs::write(
        "/tmp/report.json",
        serde_json::to_string(&t.report).unwrap(),
    )
    .unwrap();
}
