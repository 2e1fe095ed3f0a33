//! The command line.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Parser, Subcommand, ValueEnum};
use debugger::crossing::Setup;

use crate::keys::Preset;
use crate::theme::Palette;
use crate::{action, batch, bundle, dap, open};

/// The debugger for the boundary between an application and the kernel it is linked into.
///
/// Without a command it opens the last image used, else a recording that is built in.
#[derive(Debug, Parser)]
#[command(name = "uklscope", version, max_term_width = 100)]
pub struct Args {
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,

    #[command(flatten)]
    pub look: ScreenArgs,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How the screen looks and is steered; else as it was left, for each image.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ScreenArgs {
    /// The colours of the screen.
    #[arg(long, global = true, value_enum)]
    pub theme: Option<Palette>,
    /// Whose habits the keys follow.
    #[arg(long, global = true, value_enum)]
    pub keys: Option<Preset>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot an image and open the screen on it.
    Run(RunArgs),
    /// Join a running gdb stub: any QEMU, any kernel.
    Attach(AttachArgs),
    /// Record a whole run, to go back and forth in it.
    Record(batch::record::RecordArgs),
    /// Open a recorded run: every command, and those that go back in time.
    Replay(ReplayArgs),
    /// Open a recording in the same screens.
    Open(OpenArgs),
    /// The debugger's commands without a screen.
    Exec(batch::exec::ExecArgs),
    /// Pack what a bug report or a lesson needs into one file: recordings, a recorded run, notes.
    Bundle(bundle::BundleArgs),
    /// Unpack a bundle into a folder; 'open' shows it.
    Unpack(bundle::UnpackArgs),
    /// Let gdb, lldb and editors join a target, several at once.
    Serve(batch::serve::ServeArgs),
    /// Be the debug adapter of an editor: the Debug Adapter Protocol on standard input and output.
    Dap(dap::DapArgs),
    /// Record the crossings of a run.
    Trace(Box<batch::trace::TraceArgs>),
    /// Tables of a recording: counts, exact instructions, phases.
    Report(batch::report::ReportArgs),
    /// What differs between two recordings, as a ladder and a ledger.
    Diff(batch::diff::DiffArgs),
    /// Which call to reach another way next: the most that a bypass or a shortcut could save.
    Advise(batch::advise::AdviseArgs),
    /// Compare a recording with what its operations are expected to cost: for continuous integration.
    Check(batch::check::CheckArgs),
    /// Write a recording in the format of another tool.
    Export(batch::export::ExportArgs),
    /// Trace an image in each mode and print them side by side.
    Compare(batch::compare::CompareArgs),
    /// Every place where the application's code leaves it, known before the first boot.
    Sites(batch::sites::SitesArgs),
    /// The address-space map.
    Space(batch::space::SpaceArgs),
    /// Symbols with origin, address, size and source; homonyms side by side.
    Symbols(batch::symbols::SymbolsArgs),
    /// The images that are built.
    Images,
    /// What this machine has and lacks, with the command that mends it; of a stub, what it makes of each
    /// feature of the protocol.
    Doctor(DoctorArgs),
    /// A generated page of the book
    #[command(hide = true)]
    Reference { page: Page },
}

/// The pages of the book that only this program can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Page {
    Keys,
    CommandLine,
}

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// A folder with image.toml, or the name of an image built by 'cargo xtask image'.
    #[arg(required_unless_present_all = ["kernel", "vmlinux"])]
    pub image: Option<String>,
    /// How many operations the application does.
    #[arg(long, value_name = "N")]
    pub calls: Option<u64>,
    #[command(flatten)]
    pub boot: Boot,
    #[command(flatten)]
    pub wire: Wire,
}

/// Of every command that opens a live session.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Wire {
    /// Write every byte between this debugger and the stub into a file; 'uklscope exec FILE.wire' and
    /// 'uklscope attach FILE.wire' then answer as that machine did, without QEMU.
    #[arg(long, value_name = "FILE.wire")]
    pub record_wire: Option<PathBuf>,
    #[command(flatten)]
    pub family: Family,
}

/// Of every command that goes by the names of a kernel's places.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Family {
    /// A table of the kernel's family in place of the one that its symbols choose.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct AttachArgs {
    /// host:port, the path of a UNIX socket, or a recording made by --record-wire.
    pub address: String,
    /// The kernel that runs there, with symbols.
    #[arg(long, value_name = "FILE")]
    pub vmlinux: Option<PathBuf>,
    /// Go on though the build-id in the guest is not the vmlinux's.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub wire: Wire,
}

#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// A folder made by 'uklscope record', a recording made by 'uklscope trace --state', or a bundle of one.
    pub target: PathBuf,
    #[command(flatten)]
    pub family: Family,
}

#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// A stub's host:port, or the path of its UNIX socket.
    pub address: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct OpenArgs {
    /// Recordings made by 'uklscope trace'; the first is shown, the others' modes beside it. Or one file of
    /// folded stacks, a Chrome trace as JSON, or a bundle.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub import: batch::stacks::Import,
}

impl OpenArgs {
    /// The one bundle that is given.
    fn bundle(&self) -> Option<&Path> {
        match self.files.as_slice() {
            [file] if bundle::is_one(file) => Some(file),
            _ => None,
        }
    }
}

/// How to boot; shared by every command that does.
#[derive(Clone, Debug, clap::Args)]
pub struct Boot {
    /// How the application runs: linux, ukl, bypass or shortcut; else the image's own default. Options of
    /// the kernel may follow: ukl+ret is mode ukl with ukl.ret=1.
    #[arg(long)]
    pub mode: Option<Setup>,
    /// Virtual CPUs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub smp: u32,
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accel,
    /// A kernel that someone else built; with --vmlinux it stands for an image.
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// That kernel's ELF file with symbols.
    #[arg(long, value_name = "FILE")]
    pub vmlinux: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// More for the kernel's command line.
    #[arg(long, value_name = "TEXT")]
    pub append: Option<String>,
    /// Go on though the build-id in the guest is not the vmlinux's.
    #[arg(long)]
    pub force: bool,
    /// For the application.
    #[arg(last = true, value_name = "APP ARGS")]
    pub app_args: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Accel {
    #[default]
    Tcg,
    Kvm,
}

impl Args {
    /// Carries out the command; what it prints goes to `out`.
    ///
    /// # Errors
    /// When what was asked failed; the message names the next step.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let json = self.json;
        let look = self.look;
        match self.command {
            None => open::last(look),
            Some(Command::Run(args)) => open::run(&args, look),
            Some(Command::Attach(args)) => open::attach(&args, look),
            Some(Command::Open(_)) if json => bail!(
                "opening a recording: the screen has no JSON; 'uklscope report FILE --json' prints it"
            ),
            Some(Command::Record(args)) => batch::record::run(&args, json, out),
            Some(Command::Replay(args)) if bundle::is_one(&args.target) => {
                bundle::open(&args.target, look, out)
            }
            Some(Command::Replay(args)) => open::replay(&args, look),
            Some(Command::Open(args)) => match args.bundle() {
                Some(file) => bundle::open(file, look, out),
                None => open::open(&args, look),
            },
            Some(Command::Bundle(args)) => bundle::pack(&args, json, out),
            Some(Command::Unpack(args)) => bundle::unpack(&args, json, out),
            Some(Command::Exec(args)) => batch::exec::run(&args, json, out),
            Some(Command::Serve(args)) => batch::serve::run(&args, json, out),
            Some(Command::Dap(args)) => dap::run(&args, out),
            Some(Command::Trace(args)) => batch::trace::run(&args, json, out),
            Some(Command::Report(args)) => batch::report::run(&args, json, out),
            Some(Command::Diff(args)) => batch::diff::run(&args, json, out),
            Some(Command::Advise(args)) => batch::advise::run(&args, json, out),
            Some(Command::Check(args)) => batch::check::run(&args, json, out),
            Some(Command::Export(args)) => batch::export::run(&args, json, out),
            Some(Command::Compare(args)) => batch::compare::run(&args, json, out),
            Some(Command::Sites(args)) => batch::sites::run(&args, json, out),
            Some(Command::Space(args)) => batch::space::run(&args, json, out),
            Some(Command::Symbols(args)) => batch::symbols::run(&args, json, out),
            Some(Command::Images) => batch::images::run(json, out),
            Some(Command::Doctor(DoctorArgs { address: None })) => batch::doctor::run(json, out),
            Some(Command::Doctor(DoctorArgs {
                address: Some(address),
            })) => batch::stub::run(&address, json, out),
            Some(Command::Reference { page: Page::Keys }) => {
                Ok(write!(out, "{}", action::reference())?)
            }
            Some(Command::Reference {
                page: Page::CommandLine,
            }) => Ok(write!(out, "{}", command_line())?),
        }
    }
}

/// Every command's help, as a page of the book.
fn command_line() -> String {
    use clap::CommandFactory as _;
    let mut root = Args::command().term_width(100);
    root.build();
    let mut page = format!(
        "# The command line\n\n```text\n{}```\n",
        root.render_long_help()
    );
    for command in root
        .get_subcommands_mut()
        .filter(|command| !command.is_hide_set())
    {
        if command.get_name() != "help" {
            let help = command.render_long_help();
            page.push_str(&format!(
                "\n## {}\n\n```text\n{help}```\n",
                command.get_name()
            ));
        }
    }
    page.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_image_can_be_named_or_given_by_its_files() {
        let parse = |words: &str| Args::try_parse_from(words.split(' '));
        assert!(parse("uklscope run syscalls --mode bypass -- 7").is_ok());
        assert!(parse("uklscope run --kernel bzImage --vmlinux vmlinux").is_ok());
        assert!(parse("uklscope run --kernel bzImage").is_err());
        assert!(parse("uklscope run syscalls --mode fast").is_err());
        assert!(parse("uklscope run syscalls --smp 0").is_err());
        assert!(parse("uklscope").is_ok_and(|args| args.command.is_none()));
        assert!(parse("uklscope images --json").is_ok_and(|args| args.json));
    }
}
