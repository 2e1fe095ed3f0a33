//! Whose code an address is: by the range it lies in and the source it was compiled from.

use super::Symbols;
use super::image::Image;
use super::units::{Unit, join};
use crate::addr::{Addr, AddrRange};
use crate::origin::Origin;

/// The ranges that the linker script marks, where the kernel has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boundary {
    /// The application's and its libc's code in the kernel image; in mode `linux` this code lies
    /// there too, unused.
    pub app_text: AddrRange,
    pub app_data: AddrRange,
    /// The kernel's entry assembly.
    pub entry_text: AddrRange,
    /// The kernel's code in whole.
    pub text: AddrRange,
}

/// What is worked out once about where sources lie.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    /// The kernel tree's folder at the time of the build. Several, where a built tree was moved and
    /// built on: each object keeps the folder it was compiled in.
    pub(super) kernel: Vec<String>,
    /// The folder libc was compiled in.
    pub(super) libc: String,
}

/// Without the page at 0, where nothing is mapped.
const USER_HALF: AddrRange = AddrRange::new(Addr(0x1000), Addr(1 << 63));

/// Functions of every musl program's start and end: behind the application's objects in link order.
const LIBC_LANDMARKS: [&str; 6] = [
    "__init_libc",
    "__libc_start_main",
    "__errno_location",
    "__init_ssp",
    "getenv",
    "exit",
];

impl Boundary {
    pub(super) fn read(kernel: &Image) -> Self {
        let place = |name: &str| {
            kernel
                .table
                .named(name)
                .find(|e| e.kind.is_address())
                .map(|e| Addr(e.addr))
        };
        let between = |start, end| match (place(start), place(end)) {
            (Some(start), Some(end)) => AddrRange::new(start, end),
            _ => AddrRange::default(),
        };
        Self {
            app_text: between("__ukl_text_start", "__ukl_text_end"),
            app_data: between("__ukl_data_start", "__ukl_data_end"),
            entry_text: between("__entry_text_start", "__entry_text_end"),
            text: between("_stext", "_etext"),
        }
    }

    /// Whether the application is linked into this kernel.
    #[must_use]
    pub fn has_app(&self) -> bool {
        !self.app_text.is_empty()
    }
}

impl Roots {
    pub(super) fn read(kernel: &Image, twin: Option<&Image>, boundary: &Boundary) -> Self {
        let roots = kernel_roots(kernel, boundary);
        let app_image = if boundary.has_app() {
            Some(kernel)
        } else {
            twin
        };
        let range = if boundary.has_app() {
            boundary.app_text
        } else {
            USER_HALF
        };
        let folder = |name: &str| {
            let image = app_image?;
            let mut found = image.table.named(name).map(|e| Addr(e.addr));
            let addr = found.find(|addr| range.contains(*addr))?;
            image.units().at(addr).map(|unit| unit.folder)
        };
        let start = folder("__libc_start_main").or_else(|| folder("_start_c"));
        let libc = match (start, folder("main")) {
            (Some(libc), Some(app)) if libc != app => libc.to_owned(),
            _ => String::new(),
        };
        Self {
            kernel: roots,
            libc,
        }
    }
}

impl Roots {
    /// A path as it is shown: relative to the kernel's tree inside it, else whole.
    pub(super) fn shown<'a>(&self, path: &'a str) -> &'a str {
        let roots = self.kernel.iter();
        let inside = roots.filter_map(|root| path.strip_prefix(root.as_str()));
        inside.min_by_key(|rest| rest.len()).unwrap_or(path)
    }
}

/// The linker takes the start files first, then the application's objects, then what it needs of
/// libc: the application lies between the start code and libc's first function.
fn app_by_order(image: &Image, range: AddrRange) -> AddrRange {
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
    let ends = LIBC_LANDMARKS.iter().filter_map(|name| in_range(name));
    let end = ends.map(|r| r.start).filter(|e| *e > main.start).min();
    AddrRange::new(start, end.unwrap_or(range.end))
}

/// First that of a function every x86-64 kernel has: its unit's folder, or what stands before its
/// path; then the folders of all units with a relative name outside the application.
fn kernel_roots(kernel: &Image, boundary: &Boundary) -> Vec<String> {
    const LANDMARKS: [(&str, &str); 2] = [
        ("start_kernel", "init/main.c"),
        ("entry_SYSCALL_64", "arch/x86/entry/entry_64.S"),
    ];
    let mut roots: Vec<String> = Vec::new();
    for (name, path) in LANDMARKS {
        for entry in kernel.table.named(name) {
            let unit = kernel.units().at(Addr(entry.addr));
            let whole = unit.map(|unit| join(unit.folder, unit.name));
            let root = whole.as_deref().and_then(|whole| whole.strip_suffix(path));
            if let Some(root) = root.filter(|root| !roots.iter().any(|known| known == root)) {
                roots.push(root.to_owned());
            }
        }
    }
    let outside = |addr: Addr| addr.in_kernel_half() && !boundary.app_text.contains(addr);
    for unit in kernel.units().covering(outside) {
        if unit.name.starts_with('/') || unit.folder.is_empty() {
            continue;
        }
        let root = format!("{}/", join(unit.folder, ""));
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    roots
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
    fn app_origin(&self, image: &Image, unit: Option<&Unit>, addr: Addr) -> Origin {
        let roots = self.roots();
        let Some(unit) = unit else {
            let app = image.units().is_empty()
                && app_by_order(image, self.app_code(image)).contains(addr);
            return if app { Origin::App } else { Origin::Libc };
        };
        let path = join(unit.folder, unit.name);
        if roots.kernel.iter().any(|root| path.starts_with(root)) {
            return match path.ends_with(".S") {
                true => Origin::Entry,
                false => Origin::Libc,
            };
        }
        if is_libc(&path) || (!roots.libc.is_empty() && unit.folder == roots.libc) {
            return Origin::Libc;
        }
        Origin::App
    }

    fn app_code(&self, image: &Image) -> AddrRange {
        match std::ptr::eq(image, &raw const self.kernel) {
            true => self.boundary.app_text,
            false => USER_HALF,
        }
    }

    /// Data lies in no unit's ranges, but its definition lies in a unit.
    pub(super) fn data_origin(&self, addr: Addr, unit: &Unit) -> Origin {
        let kernel = addr.in_kernel_half() && !self.boundary.app_data.contains(addr);
        let per_cpu = !addr.in_kernel_half() && self.per_cpu_at(addr.0).is_some();
        match kernel || per_cpu {
            true => self.kernel_origin(unit),
            false => self.app_origin(&self.kernel, Some(unit), addr),
        }
    }

    fn kernel_origin(&self, unit: &Unit) -> Origin {
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
        self.roots().shown(path).to_owned()
    }

    /// The folder that kernel paths are relative to, as it was called when the kernel was built;
    /// empty where there is no DWARF.
    #[must_use]
    pub fn kernel_sources(&self) -> &str {
        self.roots().kernel.first().map_or("", String::as_str)
    }

    pub(super) fn roots(&self) -> &Roots {
        self.roots
            .get_or_init(|| Roots::read(&self.kernel, self.twin.as_ref(), &self.boundary))
    }
}

fn is_libc(path: &str) -> bool {
    let named = |step: &str| step.starts_with("musl") || step.starts_with("glibc");
    // A distribution's start code may be compiled with its folder left out.
    const START: [&str; 5] = ["crt1.c", "Scrt1.c", "rcrt1.c", "crti.s", "crtn.s"];
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    folder.split('/').any(named) || START.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libc_is_known_by_its_folder() {
        assert!(is_libc("/x/musl-1.2.3/src/unistd/write.c"));
        assert!(is_libc("crt/Scrt1.c"));
        assert!(!is_libc("/x/demos/musl.c"));
        assert!(!is_libc("/x/linux/fs/read_write.c"));
    }
}
