//! A machine as data, and the arguments that make QEMU be it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::crossing::Mode;

use super::image::Image;
use super::replay::{Replay, START, Way};

/// The program, and the Debian package it comes in.
pub const PROGRAM: &str = "qemu-system-x86_64";
pub const PACKAGE: &str = "qemu-system-x86";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accelerator {
    /// Emulation: every instruction can be counted, breakpoints need no slot and no mapped page.
    #[default]
    Tcg,
    /// Read in QEMU's sources, not measured: no plugins, four debug registers, breakpoints are
    /// written into guest memory.
    Kvm,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// The shared library.
    pub path: PathBuf,
    /// `name=value`, as the plugin reads them.
    pub arguments: Vec<(String, OsString)>,
}

/// Where the gdb stub listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GdbServer {
    /// On a socket in the machine's own folder: 25,000 to 40,000 round trips a second.
    #[default]
    Socket,
    /// On `host:port` too, where others can join; `:1234` is every interface.
    Tcp(String),
    /// A machine that is only traced.
    None,
}

/// The guest's time goes by its instructions, 32 ns each, its date and its random numbers are always the same: what
/// it does then repeats from boot to boot, as far as nothing comes from outside.
pub const REPEATABLE: [&str; 6] = [
    "-icount",
    "shift=5,sleep=off",
    "-rtc",
    "base=2026-01-01T00:00:00,clock=vm",
    "-seed",
    "1",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub program: PathBuf,
    pub kernel: PathBuf,
    pub initrd: PathBuf,
    /// The kernel's command line, whole.
    pub append: String,
    pub memory_mib: u32,
    pub smp: u32,
    pub accelerator: Accelerator,
    /// One host thread for all vCPUs, in turn: their interleaving then repeats from boot to boot.
    pub one_thread: bool,
    /// Before the first instruction.
    pub stopped_at_start: bool,
    pub gdb: GdbServer,
    pub plugin: Option<Plugin>,
    /// A file that holds the guest's memory, for readers beside QEMU.
    pub shared_memory: Option<PathBuf>,
    /// TCP ports of the guest that are reached from this host; without any there is no network card.
    pub ports: Vec<u16>,
    /// Recorded or replayed to the instruction; it has one vCPU.
    pub replay: Option<Replay>,
    /// Given to QEMU as they are, after all others.
    pub more: Vec<OsString>,
}

/// The sockets of a machine that is about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sockets {
    pub gdb: PathBuf,
    pub qmp: PathBuf,
}

impl Machine {
    #[must_use]
    pub fn new(kernel: PathBuf, initrd: PathBuf, append: String) -> Self {
        Self {
            program: PathBuf::from(PROGRAM),
            kernel,
            initrd,
            append,
            memory_mib: 256,
            smp: 1,
            accelerator: Accelerator::Tcg,
            one_thread: false,
            stopped_at_start: true,
            gdb: GdbServer::Socket,
            plugin: None,
            shared_memory: None,
            ports: Vec::new(),
            replay: None,
            more: Vec::new(),
        }
    }

    /// An image in one of its modes, stopped before its first instruction.
    #[must_use]
    pub fn of(image: &Image, mode: Mode, calls: Option<u64>) -> Self {
        Self {
            memory_mib: image.manifest.memory_mib,
            ports: image.manifest.ports.clone(),
            ..Self::new(image.kernel(), image.initrd(), image.append(mode, calls))
        }
    }

    /// The arguments after the program's name.
    ///
    /// The guest's serial line is QEMU's own input and output. No device is there but what the
    /// arguments name: no screen, no drive, a network card only where ports are to be reached.
    #[must_use]
    pub fn arguments(&self, sockets: &Sockets) -> Vec<OsString> {
        let mut arguments = Arguments::default();
        arguments.flag("-nodefaults");
        arguments.flag("-no-reboot");
        arguments.pair("-display", "none");
        arguments.pair("-accel", self.accel());
        if self.accelerator == Accelerator::Kvm {
            arguments.pair("-cpu", "host");
        }
        arguments.pair("-m", self.memory_mib.to_string());
        arguments.pair("-smp", self.smp.to_string());
        if let Some(path) = &self.shared_memory {
            arguments.option("-object", "memory-backend-file", |o| {
                o.plain("id", "ram");
                o.plain("size", &format!("{}M", self.memory_mib));
                o.plain("share", "on");
                o.path("mem-path", path);
            });
            arguments.pair("-machine", "memory-backend=ram");
        }
        arguments.pair("-kernel", self.kernel.as_os_str());
        arguments.pair("-initrd", self.initrd.as_os_str());
        arguments.pair("-append", self.append.as_str());
        match &self.replay {
            // What the guest reads there is kept, which QEMU does of a line given so alone.
            Some(_) => arguments.pair("-serial", "stdio"),
            None => {
                arguments.pair("-chardev", "stdio,id=serial,signal=off");
                arguments.pair("-serial", "chardev:serial");
            }
        }
        arguments.socket("qmp", &sockets.qmp);
        arguments.pair("-mon", "chardev=qmp,mode=control");
        match &self.gdb {
            GdbServer::Socket => {
                arguments.socket("gdb", &sockets.gdb);
                arguments.pair("-gdb", "chardev:gdb");
            }
            GdbServer::Tcp(address) => arguments.pair("-gdb", format!("tcp:{address}")),
            GdbServer::None => {}
        }
        arguments.network(&self.ports, self.replay.as_ref().map(|replay| replay.way));
        if let Some(replay) = &self.replay {
            arguments.replay(replay);
        }
        if let Some(plugin) = &self.plugin {
            arguments.plugin(plugin);
        }
        if self.stopped_at_start {
            arguments.flag("-S");
        }
        arguments.0.extend(self.more.iter().cloned());
        arguments.0
    }

    fn accel(&self) -> &'static str {
        match (self.accelerator, self.one_thread) {
            (Accelerator::Tcg, false) => "tcg",
            (Accelerator::Tcg, true) => "tcg,thread=single",
            (Accelerator::Kvm, _) => "kvm",
        }
    }
}

/// Of a network card: it sends a nanosecond after it was told to, by the guest's clock.
const DETERMINISTIC: &str = ",tx=timer,x-txtimer=1,ioeventfd=off,guest_announce=off";

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn flag(&mut self, name: &str) {
        self.0.push(name.into());
    }

    fn pair(&mut self, name: &str, value: impl Into<OsString>) {
        self.flag(name);
        self.0.push(value.into());
    }

    /// `name first,key=value,...`
    fn option(&mut self, name: &str, first: &str, fill: impl FnOnce(&mut Suboptions)) {
        let mut suboptions = Suboptions(first.into());
        fill(&mut suboptions);
        self.pair(name, suboptions.0);
    }

    /// A socket that QEMU listens on without waiting for anybody.
    fn socket(&mut self, id: &str, path: &Path) {
        self.option("-chardev", "socket", |o| {
            o.plain("id", id);
            o.plain("server", "on");
            o.plain("wait", "off");
            o.path("path", path);
        });
    }

    /// A card on QEMU's own network, which reaches nothing but this host's loopback. Port 0: QEMU
    /// takes one that is free, and tells which. Without its ROM the card needs no package of its own.
    ///
    /// Where a run repeats, the card does nothing but what the guest's own clock tells (QEMU's
    /// `hw/net/virtio-net.c`): else what the guest sends leaves when QEMU's main loop comes to it, which is in
    /// no recording, and a machine whose snapshot was loaded tells the guest to make itself known. A replay
    /// has its packets from the recording, and listens for nobody.
    fn network(&mut self, ports: &[u16], way: Option<Way>) {
        if ports.is_empty() {
            return;
        }
        self.option("-netdev", "user", |o| {
            o.plain("id", "net");
            o.plain("restrict", "on");
            if way != Some(Way::Replay) {
                for port in ports {
                    o.plain("hostfwd", &format!("tcp:127.0.0.1:0-:{port}"));
                }
            }
        });
        let works = way.map_or("", |_| DETERMINISTIC);
        self.pair(
            "-device",
            format!("virtio-net-pci,netdev=net,romfile={works}"),
        );
        if way.is_some() {
            self.pair("-object", "filter-replay,id=replay,netdev=net");
        }
    }

    /// Where the guest ends the machine stays, so that its last position can be asked and gone back
    /// from.
    fn replay(&mut self, replay: &Replay) {
        let way = match replay.way {
            Way::Record => "record",
            Way::Replay => "replay",
        };
        self.option("-icount", &format!("shift={}", replay.shift), |o| {
            o.plain("rr", way);
            o.path("rrfile", &replay.events);
            if replay.snapshots.is_some() {
                o.plain("rrsnapshot", START);
            }
        });
        if let Some(file) = &replay.snapshots {
            self.option("-drive", "if=none", |o| {
                o.plain("id", "snapshots");
                o.plain("format", "qcow2");
                o.path("file", file);
            });
        }
        // Loading a snapshot waits for the vCPU to set this device up, and the vCPU for the loading.
        self.pair("-global", "apic.vapic=off");
        // In QEMU 10.0 its periodic timers keep when they were armed last, to come no oftener than each
        // microsecond, and a snapshot does not hold that (`hw/timer/hpet.c`): a timer comes once more after it was
        // loaded than it did when it was recorded, and the replay stands still there.
        self.pair("-machine", "hpet=off");
        if replay.snapshots.is_some() {
            self.flag("-no-shutdown");
        }
    }

    fn plugin(&mut self, plugin: &Plugin) {
        let mut suboptions = Suboptions(OsString::new());
        suboptions.0.push("file=");
        suboptions.quoted(plugin.path.as_os_str());
        for (name, value) in &plugin.arguments {
            suboptions.0.push(format!(",{name}="));
            suboptions.quoted(value);
        }
        self.pair("-plugin", suboptions.0);
    }
}

/// QEMU's own syntax within an argument: a comma in a value is doubled.
struct Suboptions(OsString);

impl Suboptions {
    fn plain(&mut self, key: &str, value: &str) {
        self.0.push(format!(",{key}={value}"));
    }

    fn path(&mut self, key: &str, value: &Path) {
        self.0.push(format!(",{key}="));
        self.quoted(value.as_os_str());
    }

    fn quoted(&mut self, value: &std::ffi::OsStr) {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let mut bytes = Vec::with_capacity(value.len());
        for byte in value.as_bytes() {
            bytes.push(*byte);
            if *byte == b',' {
                bytes.push(b',');
            }
        }
        self.0.push(OsString::from_vec(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine::new("bzImage".into(), "rd.gz".into(), "console=ttyS0 a,b".into())
    }

    fn arguments(machine: &Machine) -> String {
        let sockets = Sockets {
            gdb: "/t/g".into(),
            qmp: "/t/q".into(),
        };
        let arguments = machine.arguments(&sockets);
        arguments
            .join(std::ffi::OsStr::new("|"))
            .into_string()
            .unwrap()
    }

    #[test]
    fn a_plain_machine() {
        assert_eq!(
            arguments(&machine()),
            "-nodefaults|-no-reboot|-display|none|-accel|tcg|-m|256|-smp|1\
             |-kernel|bzImage|-initrd|rd.gz|-append|console=ttyS0 a,b\
             |-chardev|stdio,id=serial,signal=off|-serial|chardev:serial\
             |-chardev|socket,id=qmp,server=on,wait=off,path=/t/q|-mon|chardev=qmp,mode=control\
             |-chardev|socket,id=gdb,server=on,wait=off,path=/t/g|-gdb|chardev:gdb|-S"
        );
    }

    #[test]
    fn each_choice_has_its_argument() {
        let check = |change: fn(&mut Machine), expected: &str| {
            let mut machine = machine();
            change(&mut machine);
            let found = arguments(&machine);
            assert!(found.contains(expected), "{expected} in {found}");
        };
        check(
            |m| m.accelerator = Accelerator::Kvm,
            "-accel|kvm|-cpu|host|",
        );
        check(|m| m.one_thread = true, "-accel|tcg,thread=single|");
        check(|m| m.smp = 2, "-smp|2|");
        check(
            |m| m.gdb = GdbServer::Tcp("localhost:1234".into()),
            "|-gdb|tcp:localhost:1234|",
        );
        check(
            |m| m.shared_memory = Some("/dev/shm/a,b".into()),
            "-object|memory-backend-file,id=ram,size=256M,share=on,mem-path=/dev/shm/a,,b\
             |-machine|memory-backend=ram|",
        );
        check(
            |m| {
                m.plugin = Some(Plugin {
                    path: "/l/p.so".into(),
                    arguments: vec![("out".into(), "/x,y".into()), ("n".into(), "1".into())],
                });
            },
            "-plugin|file=/l/p.so,out=/x,,y,n=1|-S",
        );
        check(
            |m| m.ports = vec![6379, 80],
            "|-netdev|user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:6379,hostfwd=tcp:127.0.0.1:0-:80\
             |-device|virtio-net-pci,netdev=net,romfile=|",
        );
        let replay = |way| Replay {
            way,
            events: "/r/events".into(),
            snapshots: Some("/r/s,1".into()),
            shift: 5,
        };
        for (way, name) in [(Way::Record, "record"), (Way::Replay, "replay")] {
            let mut machine = machine();
            machine.replay = Some(replay(way));
            let found = arguments(&machine);
            let expected = format!(
                "|-serial|stdio|-chardev|socket,id=qmp,server=on,wait=off,path=/t/q|-mon|chardev=qmp,mode=control\
                 |-chardev|socket,id=gdb,server=on,wait=off,path=/t/g|-gdb|chardev:gdb\
                 |-icount|shift=5,rr={name},rrfile=/r/events,rrsnapshot=start\
                 |-drive|if=none,id=snapshots,format=qcow2,file=/r/s,,1|-global|apic.vapic=off\
                 |-machine|hpet=off|-no-shutdown|-S"
            );
            assert!(found.ends_with(&expected), "{expected} in {found}");
            machine.ports = vec![6379];
            let found = arguments(&machine);
            let card = format!(
                "|-device|virtio-net-pci,netdev=net,romfile={DETERMINISTIC}|-object|filter-replay,id=replay,netdev=net|"
            );
            assert!(found.contains(&card), "{card} in {found}");
            let listens = found.contains("restrict=on,hostfwd=tcp:127.0.0.1:0-:6379|");
            assert_eq!(listens, way == Way::Record, "{found}");
        }
        check(|m| m.more = vec!["-icount".into()], "|-S|-icount");
    }

    #[test]
    fn what_is_not_wanted_is_not_there() {
        let mut machine = machine();
        machine.stopped_at_start = false;
        machine.gdb = GdbServer::None;
        let found = arguments(&machine);
        assert!(!found.contains("-S"), "{found}");
        assert!(!found.contains("-gdb"), "{found}");
        assert!(!found.contains("-netdev"), "{found}");
    }
}
