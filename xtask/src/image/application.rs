//! A demo's program, compiled twice: as one relocatable object for the kernel, and as the ring-3 twin.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::command::{logged, output, tool};
use super::demo::Demo;
use super::libc::{COMMON_FLAGS, Flavour, LINKED_FLAGS, Libc};
use super::places::{beside, repository};
use super::redzone;

/// Makes `application.o` in `folder`: all sections under `.ukl.*`, no symbol but the entry left global.
///
/// Undefined symbols stay undefined: the kernel's link resolves them, and that is how a shortcut is called.
///
/// # Errors
/// When a step fails, or an object uses the red zone.
pub(crate) fn linked(demo: &Demo, libc: &Libc, folder: &Path, log: &Path) -> Result<PathBuf> {
    let flags: Vec<&str> = COMMON_FLAGS
        .into_iter()
        .chain(LINKED_FLAGS)
        .chain(["-DUKL_LINKED"])
        .collect();
    let objects = compile(
        demo,
        &demo.spec.sources,
        libc,
        Flavour::Linked,
        &flags,
        folder,
        log,
    )?;
    let libgcc = libgcc()?;
    let part = folder.join("application.r.o");
    let mut ld = tool("ld");
    ld.args(["-r", "-d", "--trace", "-T"])
        .arg(repository().join("kernel/application.lds"));
    ld.arg("-o").arg(&part);
    let inputs = inputs(&objects, libc, Flavour::Linked, &libgcc);
    ld.args(&inputs);
    let mut trace = Vec::new();
    logged(ld, "linking the application", log, |line| {
        trace.push(line.to_owned())
    })?;
    let mut uses = Vec::new();
    for input in inputs.iter().filter(|input| Path::new(input).is_absolute()) {
        uses.extend(redzone::check_file(
            Path::new(input),
            &members(&trace, input),
        )?);
    }
    redzone::refuse(&uses)?;
    let object = folder.join("application.o");
    let mut objcopy = tool("objcopy");
    objcopy
        .args([
            "--redefine-sym",
            "_start=ukl__start",
            "--keep-global-symbol=ukl__start",
        ])
        .arg(&part)
        .arg(&object);
    logged(objcopy, "linking the application", log, |_| {})?;
    Ok(object)
}

/// Makes the twin, a static executable with DWARF.
///
/// # Errors
/// When a step fails.
pub(crate) fn twin(
    demo: &Demo,
    sources: &[String],
    libc: &Libc,
    into: &Path,
    log: &Path,
) -> Result<()> {
    let folder = into.parent().unwrap_or(into);
    let flags: Vec<&str> = COMMON_FLAGS.into_iter().chain(["-fno-pie"]).collect();
    let objects = compile(demo, sources, libc, Flavour::Stock, &flags, folder, log)?;
    let mut gcc = tool("gcc");
    gcc.args(["-static", "-no-pie", "-nostdlib", "-Wl,--build-id", "-o"])
        .arg(into);
    gcc.args(inputs(&objects, libc, Flavour::Stock, &libgcc()?));
    logged(gcc, "linking the ring-3 twin", log, |_| {})
}

/// A copy without DWARF, for the initramfs: the guest does not read it.
///
/// # Errors
/// When strip fails.
pub(crate) fn stripped(executable: &Path, log: &Path) -> Result<Vec<u8>> {
    let target = beside(executable, "stripped");
    let mut strip = tool("strip");
    strip.arg("-o").arg(&target).arg(executable);
    logged(strip, "stripping the ring-3 twin", log, |_| {})?;
    let bytes = std::fs::read(&target).with_context(|| format!("reading {}", target.display()))?;
    super::command::remove(&target)?;
    Ok(bytes)
}

fn compile(
    demo: &Demo,
    sources: &[String],
    libc: &Libc,
    flavour: Flavour,
    flags: &[&str],
    folder: &Path,
    log: &Path,
) -> Result<Vec<PathBuf>> {
    let include = libc.include(flavour);
    let builtin = asked_of_gcc("-print-file-name=include")?;
    let mut objects = Vec::new();
    for source in sources {
        let object = folder.join(format!("{source}.o"));
        let mut gcc: Command = tool("gcc");
        gcc.current_dir(&demo.folder)
            .args(flags)
            .args([
                "-Wall",
                "-fno-asynchronous-unwind-tables",
                "-nostdinc",
                "-isystem",
            ])
            .arg(&include)
            .args(["-isystem", &builtin, "-I"])
            .arg(repository().join("kernel/include"))
            .arg("-c")
            .arg(demo.folder.join(source))
            .arg("-o")
            .arg(&object);
        logged(
            gcc,
            &format!("compiling {source} of {}", demo.name),
            log,
            |_| {},
        )?;
        objects.push(object);
    }
    Ok(objects)
}

/// What is linked, in the linker's order.
fn inputs(objects: &[PathBuf], libc: &Libc, flavour: Flavour, libgcc: &str) -> Vec<String> {
    let library = |file: &str| libc.library(flavour, file).display().to_string();
    let mut inputs = vec![library("crt1.o"), library("crti.o")];
    inputs.extend(objects.iter().map(|object| object.display().to_string()));
    inputs.extend(
        [
            "--start-group",
            &library("libc.a"),
            libgcc,
            "--end-group",
            &library("crtn.o"),
        ]
        .map(str::to_owned),
    );
    if flavour == Flavour::Stock {
        for input in &mut inputs {
            if input.starts_with("--") {
                *input = format!("-Wl,{input}");
            }
        }
    }
    inputs
}

fn libgcc() -> Result<String> {
    asked_of_gcc("-print-libgcc-file-name")
}

fn asked_of_gcc(question: &str) -> Result<String> {
    let mut gcc = tool("gcc");
    gcc.arg(question);
    Ok(output(gcc, "asking gcc for its files")?.trim().to_owned())
}

/// The members of an archive that the linker took, from its `--trace`: `(/path/libc.a)printf.lo` or `/path/libc.a(printf.lo)`.
fn members(trace: &[String], archive: &str) -> Vec<String> {
    trace
        .iter()
        .filter_map(|line| {
            let line = line.trim();
            let old = line.strip_prefix(&format!("({archive})"));
            let new = || line.strip_prefix(&format!("{archive}("))?.strip_suffix(')');
            old.or_else(new).map(str::to_owned)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::members;

    #[test]
    fn both_ways_to_name_a_member_are_read() {
        let trace = [
            "/a/crt1.o",
            "(/a/libc.a)printf.lo",
            "/a/libc.a(write.lo)",
            "/b/libc.a(no.lo)",
        ];
        let trace = trace.map(str::to_owned);
        assert_eq!(members(&trace, "/a/libc.a"), ["printf.lo", "write.lo"]);
    }
}
