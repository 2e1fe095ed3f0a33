//! Whose code an address is: by the range it lies in and the source it was compiled from.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use super::Symbols;
use super::heads::Head;
use super::image::Image;
use super::units::join;
use crate::addr::{Addr, AddrRange, AddrRanges};
use crate::origin::Origin;
use crate::profile::{Ends, Profile, Sources};

/// The ranges that the linker script marks, or where it marks none of the application, what bears the
/// application's prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boundary {
    /// The application's and its libc's code in the kernel image; in mode `linux` this code lies
    /// there too, unused.
    pub app_text: AddrRanges,
    pub app_data: AddrRanges,
    /// The kernel's entry assembly.
    pub entry_text: AddrRange,
    /// The kernel's code in whole.
    pub text: AddrRange,
}

/// What is worked out once about where sources lie.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    /// The kernel tree's folder at the time of the build, and the one it was built in, as a few units
    /// tell them.
    near: Vec<String>,
    /// As all units tell them, which takes longer: where a built tree was moved and built on, each
    /// object keeps the folder it was compiled in.
    all: OnceCell<Vec<String>>,
    /// The folder libc was compiled in.
    libc: String,
}

/// Without the page at 0, where nothing is mapped.
const USER_HALF: AddrRange = AddrRange::new(Addr(0x1000), Addr(1 << 63));

impl Boundary {
    pub(super) fn read(kernel: &Image, profile: &Profile) -> Self {
        let names = &profile.boundary;
        let place = |name: &str| {
            kernel
                .table
                .named(name)
                .find(|e| e.kind.is_address())
                .map(|e| Addr(e.addr))
        };
        let between = |ends: &Ends| {
            let (start, end) = ends.as_ref()?;
            Some(AddrRange::new(place(start)?, place(end)?))
        };
        let range = |ends| between(ends).unwrap_or_default();
        let (app_text, app_data) = match profile.prefix.text.is_empty() {
            true => (range(&names.app_text).into(), range(&names.app_data).into()),
            false => unmarked(kernel, profile),
        };
        Self {
            app_text,
            app_data,
            entry_text: range(&names.entry_text),
            text: range(&names.text),
        }
    }

    /// Whether the application is linked into this kernel.
    #[must_use]
    pub fn has_app(&self) -> bool {
        !self.app_text.is_empty()
    }
}

impl Roots {
    pub(super) fn read(
        kernel: &Image,
        twin: Option<&Image>,
        boundary: &Boundary,
        profile: &Profile,
    ) -> Self {
        let sources = &profile.sources;
        let app_image = if boundary.has_app() {
            Some(kernel)
        } else {
            twin
        };
        let range = if boundary.has_app() {
            boundary.app_text.clone()
        } else {
            USER_HALF.into()
        };
        let folder = |name: &str| {
            let image = app_image?;
            let prefixed = profile.prefixed(name);
            let names = prefixed.as_deref().into_iter().chain([name]);
            let found = names.flat_map(|name| image.table.named(name));
            let mut found = found.map(|e| Addr(e.addr));
            let addr = found.find(|addr| range.contains(*addr))?;
            image.units().at(addr).map(|unit| unit.folder)
        };
        let start = sources.libc_functions.iter().find_map(|name| folder(name));
        let libc = match (start, folder("main")) {
            (Some(libc), Some(app)) if libc != app => libc.to_owned(),
            _ => String::new(),
        };
        Self {
            near: near_roots(kernel, sources),
            all: OnceCell::new(),
            libc,
        }
    }
}

/// What of a path lies below the innermost of these folders that it lies in.
fn inside<'a>(roots: &[String], path: &'a str) -> Option<&'a str> {
    let rests = roots.iter();
    let rests = rests.filter_map(|root| path.strip_prefix(root.as_str()));
    rests.min_by_key(|rest| rest.len())
}

/// The linker takes the start files first, then the application's objects, then what it needs of
/// libc: the application lies between the start code and libc's first function.
fn app_by_order(image: &Image, range: AddrRange, sources: &Sources) -> AddrRange {
    let in_range = |name: &str| {
        let mut found = image
            .table
            .named(name)
            .filter(|e| range.contains(Addr(e.addr)));
        found.next().map(super::table::Entry::range)
    };
    let Some(main) = in_range("main") else {
        return AddrRange::default();
    };
    let start = in_range("_start_c").map_or(range.start, |r| r.end);
    let start = if start <= main.start {
        start
    } else {
        range.start
    };
    let ends = sources.libc_first.iter().filter_map(|name| in_range(name));
    let end = ends.map(|r| r.start).filter(|e| *e > main.start).min();
    AddrRange::new(start, end.unwrap_or(range.end))
}

/// Those of functions that every x86-64 kernel has: what stands before the unit's path, and the folder
/// the unit was compiled in.
fn near_roots(kernel: &Image, sources: &Sources) -> Vec<String> {
    let (mut trees, mut folders) = (Vec::new(), Vec::new());
    for (name, path) in &sources.kernel {
        for entry in kernel.table.named(name) {
            let Some(unit) = kernel.units().at(Addr(entry.addr)) else {
                continue;
            };
            let whole = join(unit.folder, unit.name);
            trees.extend(whole.strip_suffix(path.as_str()).map(str::to_owned));
            folders.extend(folder_of(unit));
        }
    }
    each_once(trees.into_iter().chain(folders))
}

/// The folder that a unit's own path is relative to.
fn folder_of(unit: Head) -> Option<String> {
    let relative = !unit.name.starts_with('/') && !unit.folder.is_empty();
    relative.then(|| format!("{}/", join(unit.folder, "")))
}

fn each_once(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for text in all {
        if !once.contains(&text) {
            once.push(text);
        }
    }
    once
}

/// The application's code and data where only its prefix tells them: symbols with it that were not
/// compiled in the kernel's tree, and the whole of the units that have such.
fn unmarked(kernel: &Image, profile: &Profile) -> (AddrRanges, AddrRanges) {
    // The filling before the next function is not longer.
    const BETWEEN: u64 = 64;
    let roots = near_roots(kernel, &profile.sources);
    let units = kernel.units();
    let (mut text, mut data, mut of_app) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut entries = kernel.table.iter().peekable();
    while let Some(entry) = entries.next() {
        if !entry.kind.is_address() || profile.unprefixed(entry.name).is_none() {
            continue;
        }
        let mut range = entry.range();
        let next = entries.peek().map_or(range.end, |next| Addr(next.addr));
        if next > range.end && next - range.end < BETWEEN {
            range.end = next;
        }
        if !entry.kind.is_code() {
            data.push(range);
            continue;
        }
        let addr = Addr(entry.addr);
        let unit = units.at(addr);
        let path = unit.map(|unit| join(unit.folder, unit.name));
        if path.is_some_and(|path| roots.iter().any(|root| path.starts_with(root))) {
            continue;
        }
        of_app.extend(units.number_at(addr));
        text.push(range);
    }
    text.extend(units.ranges_of(&of_app));
    (AddrRanges::new(text), AddrRanges::new(data))
}

impl Symbols {
    /// By where the code came from; never by privilege level or by name alone.
    #[must_use]
    pub fn origin(&self, addr: Addr) -> Origin {
        let boundary = &self.boundary;
        if boundary.app_data.contains(addr) {
            return Origin::App;
        }
        if !addr.in_kernel_half() {
            return self.user_origin(addr);
        }
        if boundary.entry_text.contains(addr) {
            return Origin::Entry;
        }
        let unit = self.kernel.units().at(addr);
        if boundary.app_text.contains(addr) {
            return self.app_origin(&self.kernel, unit, addr);
        }
        match unit {
            Some(unit) => self.kernel_origin(unit),
            None if self.kernel.section_at(addr).is_some() => Origin::kernel_source(""),
            None => Origin::Unknown,
        }
    }

    fn user_origin(&self, addr: Addr) -> Origin {
        let Some(twin) = &self.twin else {
            return Origin::Unknown;
        };
        match twin.section_at(addr) {
            Some(section) if section.executable => {
                self.app_origin(twin, twin.units().at(addr), addr)
            }
            Some(_) => Origin::App,
            None => Origin::Unknown,
        }
    }

    /// Inside the application's code: libc's by its sources, the kernel's stubs by theirs, the rest
    /// is the application. The kernel's C code there is what libc calls in place of the vDSO, and is
    /// taken as libc's, as the vDSO is. Where the application has DWARF, code without is libc's.
    fn app_origin(&self, image: &Image, unit: Option<Head>, addr: Addr) -> Origin {
        let roots = self.roots();
        let Some(unit) = unit else {
            let app = image.units().is_empty() && self.app_by_order(image).contains(addr);
            return if app { Origin::App } else { Origin::Libc };
        };
        let path = join(unit.folder, unit.name);
        if self.inside_kernel(&path).is_some() {
            return match path.ends_with(".S") {
                true => Origin::Entry,
                false => Origin::Libc,
            };
        }
        if is_libc(&self.profile.sources, &path)
            || (!roots.libc.is_empty() && unit.folder == roots.libc)
        {
            return Origin::Libc;
        }
        Origin::App
    }

    fn app_by_order(&self, image: &Image) -> AddrRange {
        app_by_order(image, self.app_code(image), &self.profile.sources)
    }

    fn app_code(&self, image: &Image) -> AddrRange {
        match std::ptr::eq(image, &raw const self.kernel) {
            true => self.boundary.app_text.span(),
            false => USER_HALF,
        }
    }

    /// Data lies in no unit's ranges, but its definition lies in a unit.
    pub(super) fn data_origin(&self, addr: Addr, unit: Head) -> Origin {
        let kernel = addr.in_kernel_half() && !self.boundary.app_data.contains(addr);
        let per_cpu = !addr.in_kernel_half() && self.per_cpu_at(addr.0).is_some();
        match kernel || per_cpu {
            true => self.kernel_origin(unit),
            false => self.app_origin(&self.kernel, Some(unit), addr),
        }
    }

    fn kernel_origin(&self, unit: Head) -> Origin {
        let path = self.shown_path(&join(unit.folder, unit.name));
        // A kernel whose entry text is not marked is taken at its file's word.
        let unmarked = self.boundary.entry_text.is_empty();
        if unmarked && path.starts_with("arch/x86/entry/") && path.ends_with(".S") {
            return Origin::Entry;
        }
        Origin::kernel_source(&path)
    }

    /// A path as it is shown: relative to the kernel's tree inside it, else whole.
    pub(super) fn shown_path(&self, path: &str) -> String {
        self.inside_kernel(path).unwrap_or(path).to_owned()
    }

    fn inside_kernel<'a>(&self, path: &'a str) -> Option<&'a str> {
        let near = &self.roots().near;
        inside(near, path).or_else(|| inside(self.all_roots(), path))
    }

    /// As [`Self::shown_path`], to be asked by several threads.
    pub(super) fn shown_paths(&self) -> impl Fn(&str) -> String + Sync {
        let (near, all) = (&self.roots().near, self.all_roots());
        move |path| {
            let found = inside(near, path).or_else(|| inside(all, path));
            found.unwrap_or(path).to_owned()
        }
    }

    /// The folders of the kernel's tree, those first that most sources lie in.
    fn all_roots(&self) -> &[String] {
        let roots = self.roots();
        let outside = |addr: Addr| addr.in_kernel_half() && !self.boundary.app_text.contains(addr);
        roots.all.get_or_init(|| {
            let units = self.kernel.units().covering(outside).into_iter();
            let near = roots.near.iter().cloned();
            each_once(near.chain(units.filter_map(folder_of)))
        })
    }

    /// The folder that kernel paths are relative to, as it was called when the kernel was built;
    /// empty where there is no DWARF.
    #[must_use]
    pub fn kernel_sources(&self) -> &str {
        let near = self.roots().near.first();
        near.or_else(|| self.all_roots().first())
            .map_or("", String::as_str)
    }

    fn roots(&self) -> &Roots {
        self.roots.get_or_init(|| {
            let twin = self.twin.as_ref();
            Roots::read(&self.kernel, twin, &self.boundary, &self.profile)
        })
    }
}

fn is_libc(sources: &Sources, path: &str) -> bool {
    let named = |step: &str| {
        let mut folders = sources.libc_folders.iter();
        folders.any(|beginning| step.starts_with(beginning.as_str()))
    };
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    folder.split('/').any(named) || sources.libc_files.iter().any(|file| file == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libc_is_known_by_its_folder() {
        let linux = Profile::linux();
        let sources = &linux.sources;
        let is_libc = |path| is_libc(sources, path);
        assert!(is_libc("/x/musl-1.2.3/src/unistd/write.c"));
        assert!(is_libc("crt/Scrt1.c"));
        assert!(!is_libc("/x/demos/musl.c"));
        assert!(!is_libc("/x/linux/fs/read_write.c"));
    }
}
