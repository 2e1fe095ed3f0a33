//! `cargo xtask`: the one door to everything that is built, booted and checked here.

mod image;
mod packages;
mod progress;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Builds, boots and checks uklscope")]
enum Task {
    /// Builds a bootable image of a demo: kernel, C library, application, initramfs.
    Image(image::Args),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Image(args) => image::run(&args),
    }
}
