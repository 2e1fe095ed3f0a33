//! `cargo xtask`: the one door to everything that is built, booted and checked here.

mod bench;
mod builtin;
mod demo;
mod docs;
mod editor;
mod exports;
mod fuzz;
mod gdbtests;
mod image;
mod packages;
mod progress;
mod soak;
mod streams;
mod suites;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Builds, boots and checks uklscope")]
enum Task {
    /// Does all the set-up and opens the screen on a booted demo
    Demo(demo::Args),
    /// Builds a bootable image of a demo: kernel, C library, application, initramfs
    Image(image::Args),
    /// Passes every check and every test, booted images included
    Test(test::Args),
    /// Runs the tests that a demo's program brings with it, in each mode
    Suites(suites::Args),
    /// Measures what tracing costs
    Bench(bench::Args),
    /// Puts Redis and memcached under load in each mode for minutes, with unrest beside them
    Soak(soak::Args),
    /// Checks what the architecture page promises
    Tidy,
    /// Makes the generated pages and headers again
    Docs(docs::Args),
    /// Makes the recording that is built in anew, and what is drawn of it
    Builtin(builtin::Args),
    /// Reads what is exported of a recording with the formats' own readers
    Exports(exports::Args),
    /// Drives the debug adapter with a client that is not this project's own
    Editor(image::Options),
    /// Runs files of gdb's own test suite against 'uklscope serve'
    Gdbtests(gdbtests::Args),
    /// Runs the decoders' fuzz targets
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::say(&format!("xtask: {}", causes(&error)));
            ExitCode::FAILURE
        }
    }
}

/// An error and what led to it, each once: most of ours tell their causes themselves.
fn causes(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !told.contains(&cause) {
            if !told.is_empty() {
                told.push_str(": ");
            }
            told.push_str(&cause);
        }
    }
    told
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Demo(args) => demo::run(&args),
        Task::Image(args) => image::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Suites(args) => suites::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Tidy => tidy::run(),
        Task::Docs(args) => docs::run(&args),
        Task::Builtin(args) => builtin::run(&args),
        Task::Exports(args) => exports::run(&args),
        Task::Editor(options) => editor::run(&options),
        Task::Gdbtests(args) => gdbtests::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use debugger::serve::ServeError;

    use super::causes;

    #[test]
    fn a_cause_that_is_told_is_not_told_again() {
        let full = || std::io::Error::other("it is full");
        let told = ServeError::NoThread {
            at: ":1234".to_owned(),
            source: full(),
        };
        let told = anyhow::Error::new(told).context("measuring");
        assert_eq!(
            causes(&told),
            "measuring: serving on :1234: it is full; free some of this machine's resources"
        );
        let untold = anyhow::Error::new(full()).context("writing it");
        assert_eq!(causes(&untold), "writing it: it is full");
    }
}
