use std::process::ExitCode;

fn main() -> ExitCode {
    tui::main(std::env::args_os())
}
