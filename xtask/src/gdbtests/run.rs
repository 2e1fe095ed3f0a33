//! One file of the suite at a time: its machines, DejaGnu, its summary.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::cases::{self, Case, Cases, Gdb};
use super::suite::Suite;
use super::summary::Summary;
use crate::image::{self, folder, logged, remove, repository, tool};
use crate::progress::Step;

/// A file that is not over by then never is.
const SECONDS: &str = "1200";

/// Where the files of this run have their images, recordings and logs.
pub(super) struct Place<'a> {
    suite: &'a Suite,
}

/// # Errors
/// When DejaGnu is not installed, or gdb is another than the list was made for.
pub(super) fn tools(gdb: &Gdb) -> Result<()> {
    let said = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    ensure!(
        said("runtest").is_ok(),
        "gdb's tests are run by DejaGnu, which is not installed: apt-get install dejagnu"
    );
    let found = said("gdb").unwrap_or_default();
    let found = found.lines().next().unwrap_or_default();
    ensure!(
        found.contains(&gdb.version),
        "gdb's tests go with gdb {}, and this machine has '{found}': install that version",
        gdb.version
    );
    Ok(())
}

impl<'a> Place<'a> {
    /// Builds the images, and records the runs that are to go back.
    ///
    /// # Errors
    /// When one cannot be built or recorded.
    pub(super) fn new(
        suite: &'a Suite,
        cases: &Cases,
        chosen: &[&Case],
        options: &image::Options,
    ) -> Result<Self> {
        let place = Self { suite };
        let wanted = |name: &str| {
            let mut all = chosen.iter().flat_map(|case| case.executables());
            all.any(|(_, program)| program == name)
        };
        let programs = cases.program.iter().filter(|(name, _)| wanted(name));
        let folders = programs.map(|(name, program)| suite.program(name, program));
        let folders = folders.collect::<Result<Vec<_>>>()?;
        let images = suite.home.join("images");
        folder(&images)?;
        image::build_foreign(&folders, &images, options)?;
        for case in chosen.iter().filter(|case| case.recorded) {
            for (_, program) in case.executables() {
                place.record(program)?;
            }
        }
        Ok(place)
    }

    fn image(&self, program: &str) -> PathBuf {
        self.suite.home.join("images").join(program)
    }

    /// Made anew for another image.
    fn recording(&self, program: &str) -> PathBuf {
        self.image(program).join("recorded")
    }

    fn record(&self, program: &str) -> Result<()> {
        let folder = self.recording(program);
        let whole = self.image(program).join("recorded.log");
        if whole.exists() {
            return Ok(());
        }
        remove(&folder)?;
        let step = Step::start(format!("recording a run of {program}"));
        let output = Command::new(uklscope())
            .arg("record")
            .arg(self.image(program))
            .arg("-o")
            .arg(&folder)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("recording a run of {program}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "recording {program}: {said}");
        std::fs::write(&whole, &output.stdout)
            .with_context(|| format!("writing {}", whole.display()))?;
        step.done();
        Ok(())
    }

    fn folder(&self, case: &Case) -> PathBuf {
        self.suite.home.join("runs").join(case.short())
    }

    /// What gdb was told, and what it said.
    pub(super) fn log(&self, case: &Case) -> PathBuf {
        self.folder(case).join("gdb.log")
    }

    /// # Errors
    /// When DejaGnu does not come to its end.
    pub(super) fn run(&self, case: &Case) -> Result<Summary> {
        let home = self.folder(case);
        remove(&home)?;
        let machines = home.join("machines");
        folder(&machines)?;
        for (executable, program) in case.executables() {
            let link = machines.join(executable);
            std::os::unix::fs::symlink(self.image(program), &link)
                .with_context(|| format!("making the link {}", link.display()))?;
        }
        let suite = self.suite.folder();
        let site = home.join("site.exp");
        std::fs::write(&site, site_file(&suite.display().to_string()))
            .with_context(|| format!("writing {}", site.display()))?;
        // DejaGnu's exit status tells of failures, which are looked at here.
        let mut runtest = tool("timeout");
        runtest.args([SECONDS, "runtest", "--tool", "gdb", "--srcdir"]);
        runtest.arg(&suite);
        runtest.args(["--target_board=uklscope", &case.file]);
        runtest
            .current_dir(&home)
            .env("TERM", "dumb")
            .env("EXEEXT", "")
            .env("rootme", &home)
            .env("srcdir", &suite)
            .env("GDBTESTS_BOARD", cases::folder())
            .env("GDBTESTS_UKLSCOPE", uklscope())
            .env("GDBTESTS_MACHINES", &machines)
            .env(
                "GDBTESTS_RECORDED",
                if case.recorded { "recorded" } else { "" },
            );
        let log = home.join("runtest.log");
        let ended = logged(runtest, &case.file, &log, |_| {});
        let sum = home.join("gdb.sum");
        let text = std::fs::read_to_string(&sum).unwrap_or_default();
        if !text.contains("=== gdb Summary ===") {
            ended?;
            bail!(
                "{}: DejaGnu has written no summary, see {}",
                case.file,
                log.display()
            );
        }
        Ok(Summary::of(&text))
    }
}

fn uklscope() -> PathBuf {
    repository().join("target/release/uklscope")
}

/// What configuring gdb would have written.
fn site_file(suite: &str) -> String {
    let mut text = String::new();
    for kind in ["host", "build", "target"] {
        text += &format!("set {kind}_triplet x86_64-pc-linux-gnu\n");
    }
    text += &format!("set srcdir {suite}\n");
    text += "set tool gdb\nset enable_libctf no\nset GDB gdb\nset GDB_DATA_DIRECTORY \"\"\n";
    text += "lappend boards_dir $env(GDBTESTS_BOARD)\n";
    text
}
