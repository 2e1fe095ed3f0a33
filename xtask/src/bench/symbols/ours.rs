//! uklscope's part: this program starts itself once for each task.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use debugger::symbols::types::Type;
use debugger::symbols::{Pattern, Symbols};
use serde::{Deserialize, Serialize};

use super::checks::Answers;
use super::process::{Run, timed};
use super::{Args, Task, addresses};

/// What a task's process says.
#[derive(Default, Serialize, Deserialize)]
struct Said {
    seconds: f64,
    /// Of the same again, in a process that has the index.
    again_seconds: Option<f64>,
    members: Vec<(String, u64)>,
    frames: Vec<Vec<(String, u32)>>,
}

pub(super) fn measure(task: Task, args: &Args, answers: &mut Answers) -> Result<Run> {
    let me = std::env::current_exe().context("finding this program")?;
    let name = serde_json::to_value(task)?;
    let mut command = Command::new(me);
    command
        .args([
            "bench",
            "symbols",
            "--task",
            name.as_str().unwrap_or_default(),
        ])
        .arg("--vmlinux")
        .arg(&args.vmlinux)
        .args(["--addresses", &args.addresses.to_string()])
        .args(["--struct", &args.record])
        .args(["--place", &args.place])
        .args(["--pattern", &args.pattern]);
    let (mut run, text) = match timed(&mut command) {
        Ok(done) => done,
        Err(why) => bail!("measuring uklscope: {why}"),
    };
    let said: Said = serde_json::from_str(&text).context("reading what the task's process said")?;
    run.inside_seconds = Some(said.seconds);
    run.note = said
        .again_seconds
        .map(|seconds| format!("{:.3} ms once the index is there", seconds * 1e3));
    if task == Task::Struct {
        answers.our_struct = said.members;
    }
    if task == Task::Addresses {
        answers.our_frames = said.frames;
    }
    Ok(run)
}

/// The command for it that a user types; nothing for what has none.
pub(super) fn exec(task: Task, args: &Args) -> Result<Option<Run>> {
    let line = match task {
        Task::Name => "symbols start_kernel".to_owned(),
        Task::Struct => format!("ptype/o struct {}", args.record),
        Task::Line => format!("info line {}", args.place),
        Task::Pattern => format!("info functions {}", args.pattern),
        Task::Index | Task::Addresses => return Ok(None),
    };
    let program = std::env::current_exe()?.with_file_name("uklscope");
    if !program.exists() {
        bail!(
            "looking for {}: it is not there; build all with 'cargo build --release'",
            program.display()
        );
    }
    let mut command = Command::new(program);
    command.args(["exec", "--vmlinux"]).arg(&args.vmlinux);
    command.args(["-c", &line]);
    match timed(&mut command) {
        Ok((run, _)) => Ok(Some(run)),
        Err(why) => bail!("measuring '{line}': {why}"),
    }
}

/// What the process of a task does.
pub(super) fn carry_out(task: Task, args: &Args) -> Result<()> {
    let began = Instant::now();
    let symbols = Symbols::open(&args.vmlinux, None)?;
    let mut said = Said::default();
    match task {
        Task::Name => {
            if symbols.lookup("start_kernel").is_empty() {
                bail!("it has no start_kernel");
            }
        }
        Task::Index => symbols.index_work().into_iter().for_each(|work| work.run()),
        Task::Struct => {
            let name = format!("struct {}", args.record);
            let of = symbols.type_named(&name);
            let of = of.with_context(|| format!("there is no {name}"))?;
            if symbols.outline(of, true).is_empty() {
                bail!("{name} cannot be written out");
            }
            said.seconds = began.elapsed().as_secs_f64();
            if let Type::Record { size, members, .. } = symbols.type_of(of) {
                let named = members.into_iter().filter(|member| !member.name.is_empty());
                said.members = named.map(|member| (member.name, member.offset)).collect();
                said.members.push((String::new(), size));
            }
            // Another, whose unit has not been looked into.
            let again = Instant::now();
            let other = symbols.type_named("struct sk_buff");
            if let Some(other) = other {
                let _ = symbols.outline(other, true);
                said.again_seconds = Some(again.elapsed().as_secs_f64());
            }
        }
        Task::Line => {
            let (file, line) = args
                .place
                .rsplit_once(':')
                .context("a place is FILE:LINE")?;
            let line = line.parse().context("a place is FILE:LINE")?;
            if symbols.line_addresses(file, line).is_empty() {
                bail!("{} has no code", args.place);
            }
            said.seconds = began.elapsed().as_secs_f64();
            let again = Instant::now();
            let _ = symbols.line_addresses(file, line + 1);
            said.again_seconds = Some(again.elapsed().as_secs_f64());
        }
        Task::Pattern => {
            let (found, _) = symbols.functions_like(&Pattern::new(&args.pattern), 2_000);
            if found.is_empty() {
                bail!("no function is like {}", args.pattern);
            }
            said.seconds = began.elapsed().as_secs_f64();
            let again = Instant::now();
            let _ = symbols.functions_like(&Pattern::new("tcp_"), 2_000);
            said.again_seconds = Some(again.elapsed().as_secs_f64());
        }
        Task::Addresses => {
            let addrs = addresses(&symbols, args.addresses);
            let frames = symbols.frames_of(&addrs);
            said.seconds = began.elapsed().as_secs_f64();
            let frame = |frame: &debugger::symbols::InlineFrame| {
                (frame.function.clone(), frame.line.unwrap_or(0))
            };
            said.frames = frames
                .iter()
                .map(|frames| frames.iter().map(frame).collect())
                .collect();
        }
    }
    if said.seconds == 0.0 {
        said.seconds = began.elapsed().as_secs_f64();
    }
    serde_json::to_writer(std::io::stdout().lock(), &said)?;
    Ok(())
}
