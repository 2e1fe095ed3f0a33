//! Steps without a screen: this debugger's and gdb's.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use debugger::command::Command as Asked;
use debugger::crossing::Mode;
use debugger::event::{Event, Run, Vcpu};
use debugger::qemu::arguments::Machine;
use debugger::qemu::image::Image;
use debugger::session::link::Endpoint;
use debugger::session::process::Qemu;
use debugger::session::target::{Target, Trap};
use debugger::session::{BootOptions, Handle, Session};
use debugger::symbols::Symbols;

const CALLS: u64 = 1_000_000;

/// For a guest to boot on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Run by gdb's own Python.
const SCRIPT: &str = r"
import gdb, time

gdb.execute('set pagination off')
gdb.execute('set confirm off')
gdb.execute('target remote ' + ADDRESS)
gdb.execute('thbreak ' + WHERE)
gdb.execute('continue')
began = time.monotonic()
for _ in range(STEPS):
    gdb.execute('stepi', to_string=True)
print('stepi_per_s', STEPS / (time.monotonic() - began))
gdb.execute('kill')
";

/// Instructions a second.
pub(super) struct Ours {
    /// A command for each of them.
    pub(super) alone: f64,
    /// One command for all of them: `stepi N`.
    pub(super) together: f64,
}

/// # Errors
/// When the image does not get to `main`, or a step fails.
pub(super) fn ours(image: &Image, mode: Mode, steps: usize) -> Result<Ours> {
    let options = BootOptions {
        mode: Some(mode),
        calls: Some(CALLS),
        ..BootOptions::default()
    };
    let mut session = Session::boot(image.clone(), options);
    loop {
        match session.events.recv_timeout(PATIENCE) {
            Ok(Event::Run(Run::Stopped(_))) => break,
            Ok(Event::Run(Run::Ended(why))) => bail!("booting {}: {why}", image.manifest.name),
            Ok(_) => {}
            Err(error) => bail!("booting {}: {error}", image.manifest.name),
        }
    }
    let began = Instant::now();
    for _ in 0..steps {
        step(&mut session, 1)?;
    }
    let alone = rate(steps, began);
    let began = Instant::now();
    step(&mut session, steps as u64)?;
    Ok(Ours {
        alone,
        together: rate(steps, began),
    })
}

/// The stub's own, with nothing around it: a step, and the registers that tell where it led.
///
/// # Errors
/// When the image does not get to `main`, or a step fails.
pub(super) fn stub(image: &Image, mode: Mode, steps: usize) -> Result<f64> {
    let symbols = Symbols::open(&image.vmlinux(), None)?;
    let main = symbols.lookup("main");
    let main = main.iter().find(|symbol| symbol.origin.is_app_side());
    let main = main.context("vmlinux has no main")?.addr;
    let qemu = Qemu::start(&Machine::of(image, mode, Some(CALLS)))?;
    let endpoint = qemu.gdb().context("QEMU has no stub")?;
    let mut target = Target::connect(endpoint, PATIENCE)?;
    target.insert(Trap::soft(main))?;
    target.resume()?;
    target.wait(PATIENCE)?.context("main was not reached")?;
    let began = Instant::now();
    for _ in 0..steps {
        target.step(Vcpu(0))?;
    }
    Ok(rate(steps, began))
}

fn rate(steps: usize, began: Instant) -> f64 {
    let steps = u32::try_from(steps).map_or(f64::INFINITY, f64::from);
    steps / began.elapsed().as_secs_f64()
}

fn step(session: &mut Handle, count: u64) -> Result<()> {
    let asked = session.send(Asked::StepInstruction { count });
    loop {
        match session.events.recv_timeout(PATIENCE) {
            Ok(Event::Answer(id, answer)) if id == asked => {
                answer?;
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => bail!("stepping: {error}"),
        }
    }
}

/// # Errors
/// When gdb is not there or does not get as far.
pub(super) fn gdb(image: &Image, mode: Mode, steps: usize) -> Result<f64> {
    if mode == Mode::Linux {
        bail!("gdb finds main by vmlinux alone: not in mode linux");
    }
    let qemu = Qemu::start(&Machine::of(image, mode, Some(CALLS)))?;
    let Some(Endpoint::Unix(socket)) = qemu.gdb() else {
        bail!("QEMU has no stub on a socket");
    };
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("step.py");
    let head = format!(
        "STEPS = {steps}\nADDRESS = '{}'\nWHERE = 'main'\n",
        socket.display()
    );
    std::fs::write(&script, head + SCRIPT)?;
    let output = Command::new("gdb")
        .args(["-nx", "-q", "-batch"])
        .arg(image.vmlinux())
        .arg("-x")
        .arg(&script)
        .output()
        .context("starting gdb: install it with 'apt-get install gdb'")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("stepi_per_s "))
        .and_then(|rate| rate.parse().ok())
        .with_context(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("gdb gave no rate; it said '{}'", said.trim())
        })
}
