//! A demo's program, compiled twice: as one relocatable object for the kernel, and as the ring-3 twin.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::command::{logged, output, tool};
use super::cplusplus;
use super::demo::Demo;
use super::kept;
use super::libc::{COMMON_FLAGS, Flavour, LINKED_FLAGS, Libc};
use super::places::{beside, repository};
use super::programs::Programs;
use super::redzone;
use crate::progress;

/// Where an image is put together, where it will be, and where the build's output is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) image: &'a Path,
    pub(crate) log: &'a Path,
}

/// The symbol by which the kernel knows that the application needs `ukl.fault=ist`.
const RED_ZONE: &str = "__ukl_uses_red_zone";

/// A static executable of the C library that is named after this.
const STATIC: [&str; 4] = ["-static", "-no-pie", "-nostdlib", "-Wl,--build-id"];

/// The twin's addresses differ from those of the linked application's data, which begin at 0x400000.
const TWIN_TEXT: &str = "-Wl,-Ttext-segment=0x10000000";

/// The text of ring-3 programs beside the application begins far from the twin's, so that no user address is in both.
pub(crate) const FAR_TEXT: &str = "-Wl,-Ttext-segment=0x20000000";

/// Makes `application.o` in `folder`: all sections under `.ukl.*`, no symbol but the entry left global.
///
/// Undefined symbols stay undefined: the kernel's link resolves them, and that is how a shortcut is called.
///
/// # Errors
/// When a step fails.
pub(crate) fn linked(
    demo: &Demo,
    programs: Option<&Programs>,
    libc: &Libc,
    site: Site<'_>,
) -> Result<PathBuf> {
    let Site { folder, log, .. } = site;
    let flavour = Flavour::Linked;
    let mut objects = compile(demo, libc, flavour, site)?;
    objects.extend(programs.and_then(|programs| programs.application(flavour)));
    let part = folder.join("application.r.o");
    let mut ld = tool("ld");
    ld.args(["-r", "-d", "--force-group-allocation", "--trace", "-T"])
        .arg(repository().join("kernel/application.lds"));
    ld.arg("-o").arg(&part);
    let inputs = inputs(&objects, libc, flavour, &libraries(demo)?);
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
    let object = folder.join("application.o");
    let mut objcopy = tool("objcopy");
    objcopy.args([
        "--redefine-sym",
        "_start=ukl__start",
        "--keep-global-symbol=ukl__start",
    ]);
    if cplusplus::is(demo) {
        objcopy.args(cplusplus::LINKED_OPTIONS);
    }
    if let Some(uses) = redzone::describe(&uses) {
        progress::say(&uses);
        objcopy
            .arg(format!("--add-symbol={RED_ZONE}=1,global"))
            .arg(format!("--keep-global-symbol={RED_ZONE}"));
    }
    objcopy.arg(&part).arg(&object);
    logged(objcopy, "linking the application", log, |_| {})?;
    Ok(object)
}

/// Makes the twin, a static executable with DWARF.
///
/// # Errors
/// When a step fails.
pub(crate) fn twin(
    demo: &Demo,
    programs: Option<&Programs>,
    libc: &Libc,
    into: &Path,
    site: Site<'_>,
) -> Result<()> {
    let flavour = Flavour::Stock;
    let mut objects = compile(demo, libc, flavour, site)?;
    objects.extend(programs.and_then(|programs| programs.application(flavour)));
    let libraries = libraries(demo)?;
    let options = if cplusplus::is(demo) {
        [&[TWIN_TEXT], &cplusplus::OPTIONS[..]].concat()
    } else {
        vec![TWIN_TEXT]
    };
    static_executable(&objects, libc, into, &options, &libraries, site.log)
}

/// Links a static ring-3 executable with the stock C library.
///
/// # Errors
/// When gcc fails.
pub(crate) fn executable(
    objects: &[PathBuf],
    libc: &Libc,
    into: &Path,
    options: &[&str],
    log: &Path,
) -> Result<()> {
    static_executable(objects, libc, into, options, &[libgcc()?], log)
}

fn static_executable(
    objects: &[PathBuf],
    libc: &Libc,
    into: &Path,
    options: &[&str],
    libraries: &[String],
    log: &Path,
) -> Result<()> {
    let mut gcc = tool("gcc");
    gcc.args(STATIC).args(options).arg("-o").arg(into);
    gcc.args(inputs(objects, libc, Flavour::Stock, libraries));
    logged(gcc, &format!("linking {}", into.display()), log, |_| {})
}

/// Makes a ring-3 program of one source file: `/init`, or one that runs beside the application.
///
/// # Errors
/// When a step fails.
pub(crate) fn neighbour(source: &Path, libc: &Libc, into: &Path, site: Site<'_>) -> Result<()> {
    let log = site.log;
    let object = beside(into, "o");
    let mut gcc = tool("gcc");
    gcc.args(cflags(libc, Flavour::Stock, site.image)?)
        .args(["-Wall", "-c"])
        .arg(source)
        .arg("-o")
        .arg(&object);
    logged(gcc, &format!("compiling {}", source.display()), log, |_| {})?;
    executable(&[object], libc, into, &[FAR_TEXT], log)
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

fn compile(demo: &Demo, libc: &Libc, flavour: Flavour, site: Site<'_>) -> Result<Vec<PathBuf>> {
    let flags = cflags(libc, flavour, site.image)?;
    let mut sources: Vec<PathBuf> = demo
        .spec
        .sources
        .iter()
        .map(|source| demo.folder.join(source))
        .collect();
    if cplusplus::is(demo) {
        sources.push(cplusplus::from_glibc());
    }
    let mut objects = Vec::new();
    for source in sources {
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        let object = site.folder.join(format!("{name}.o"));
        let mut compiler: Command;
        if cplusplus::is_source(&source) {
            compiler = tool("g++");
            compiler.args(cplusplus::headers()?);
        } else {
            compiler = tool("gcc");
        }
        compiler
            .current_dir(&demo.folder)
            .args(&flags)
            .args(&demo.spec.flags)
            .args(["-Wall", "-c"])
            .arg(&source)
            .arg("-o")
            .arg(&object);
        let what = format!("compiling {name} of {}", demo.name);
        logged(compiler, &what, site.log, |_| {})?;
        objects.push(object);
    }
    Ok(objects)
}

/// What every C file is compiled with; no path in it has a blank, as make would part it there. `home` is the folder that
/// keeps copies of the repository's files.
///
/// # Errors
/// When gcc does not tell where its headers are.
pub(crate) fn cflags(libc: &Libc, flavour: Flavour, home: &Path) -> Result<Vec<String>> {
    let mut flags = COMMON_FLAGS.map(str::to_owned).to_vec();
    match flavour {
        Flavour::Linked => {
            flags.extend(
                LINKED_FLAGS
                    .into_iter()
                    .chain(["-DUKL_LINKED"])
                    .map(str::to_owned),
            );
        }
        Flavour::Stock => flags.push("-fno-pie".to_owned()),
    }
    flags.extend(["-fno-asynchronous-unwind-tables", "-nostdinc"].map(str::to_owned));
    for system in [
        libc.include(flavour).display().to_string(),
        asked_of_gcc("-print-file-name=include")?,
    ] {
        flags.extend(["-isystem".to_owned(), system]);
    }
    let ours = repository().join("kernel/include");
    flags.push(format!("-I{}", ours.display()));
    flags.push(kept::option(home));
    Ok(flags)
}

/// What a static ring-3 program is linked with by a configure script or a makefile of its own: before its objects and
/// libraries, and after them.
///
/// # Errors
/// When gcc does not tell where its library is.
pub(crate) fn around(libc: &Libc) -> Result<[String; 2]> {
    let mut before = STATIC.map(str::to_owned).to_vec();
    let mut after = inputs(&[], libc, Flavour::Stock, &[libgcc()?]);
    before.extend(after.drain(..STARTS));
    Ok([before.join(" "), after.join(" ")])
}

/// How many of [`inputs`] come before the program's own objects.
const STARTS: usize = 2;

/// What is linked, in the linker's order.
fn inputs(objects: &[PathBuf], libc: &Libc, flavour: Flavour, libraries: &[String]) -> Vec<String> {
    let library = |file: &str| libc.library(flavour, file).display().to_string();
    let mut inputs = vec![library("crt1.o"), library("crti.o")];
    inputs.extend(objects.iter().map(|object| object.display().to_string()));
    inputs.extend(["--start-group".to_owned(), library("libc.a")]);
    inputs.extend_from_slice(libraries);
    inputs.extend(["--end-group".to_owned(), library("crtn.o")]);
    if flavour == Flavour::Stock {
        for input in &mut inputs {
            if input.starts_with("--") {
                *input = format!("-Wl,{input}");
            }
        }
    }
    inputs
}

/// The compiler's libraries that a demo is linked with.
fn libraries(demo: &Demo) -> Result<Vec<String>> {
    let mut libraries = vec![libgcc()?];
    if cplusplus::is(demo) {
        libraries.extend(cplusplus::libraries()?);
    }
    Ok(libraries)
}

fn libgcc() -> Result<String> {
    asked_of_gcc("-print-libgcc-file-name")
}

pub(super) fn asked_of_gcc(question: &str) -> Result<String> {
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
