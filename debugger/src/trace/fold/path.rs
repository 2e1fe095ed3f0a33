//! A path's end → the tree of calls behind it, its class and its phases.

use std::collections::HashMap;
use std::sync::Arc;

use wire::Kind;

use super::trie::{NodeId, ROOT, Trie, parts};
use crate::crossing::{CrossingKind, Phase};
use crate::profile::Profile;
use crate::trace::functions::Functions;
use crate::trace::phases::{self, Rules};
use crate::trace::report::{Node, Phases};

/// A function in a path, in the order of entry; its callees follow it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    node: NodeId,
    pub(super) function: u32,
    /// Index of the step it is shown under.
    pub(super) parent: Option<usize>,
    pub(super) depth: u32,
    pub(super) own: u64,
    phase: (Phase, Phase),
    has_called: bool,
}

/// What is known of an ending for good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) class: usize,
    pub(super) total: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClassKey {
    pub(super) kind: CrossingKind,
    pub(super) call: String,
    pub(super) signature: u64,
}

#[derive(Debug)]
pub(super) struct Shapes {
    profile: Arc<Profile>,
    pub(super) rules: Rules,
    pub(super) endings: Vec<Ending>,
    pub(super) classes: Vec<ClassKey>,
    known: HashMap<ClassKey, usize>,
}

/// Socket calls are told apart by the protocol that serves them: these are too different to be one call.
/// AF_UNIX sockets, which everything is compared on, have no suffix.
const PROTOCOLS: &[(&str, &str)] = &[
    ("tcp_sendmsg", "tcp"),
    ("tcp_recvmsg", "tcp"),
    ("udp_sendmsg", "udp"),
    ("udp_recvmsg", "udp"),
    ("netlink_sendmsg", "netlink"),
    ("netlink_recvmsg", "netlink"),
    ("tty_write", "tty"),
    ("tty_read", "tty"),
    ("redirected_tty_write", "tty"),
];

/// Every implementation of a system call begins so.
pub(in crate::trace) const IMPLEMENTATION: &str = "__x64_sys_";

/// Whether system calls are named by that function of the kernel.
#[must_use]
pub(in crate::trace) fn names_a_call(function: &str) -> bool {
    function.starts_with(IMPLEMENTATION) || PROTOCOLS.iter().any(|(name, _)| *name == function)
}

/// The call of a bypass that was not taken.
pub(super) const FULL_PATH: &str = "(full path)";

impl Shapes {
    pub(super) fn new(profile: Arc<Profile>) -> Self {
        Self {
            rules: Rules::of(&profile),
            profile,
            endings: Vec::new(),
            classes: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// Must be called for each ending, in order.
    pub(super) fn learn(
        &mut self,
        trie: &Trie,
        ending: NodeId,
        functions: &Functions,
    ) -> (Vec<Step>, Phases) {
        let (steps, phases) = steps(trie, ending, functions, &self.rules);
        let total = steps.iter().map(|step| step.own).sum();
        let key = class_key(trie, ending, &steps, functions, &self.profile);
        let class = *self.known.entry(key.clone()).or_insert_with(|| {
            self.classes.push(key);
            self.classes.len() - 1
        });
        self.endings.push(Ending { class, total });
        (steps, phases)
    }

    pub(super) fn is_sigreturn(&self, ending: usize) -> bool {
        self.call(ending) == Some("rt_sigreturn")
    }

    pub(super) fn is_exec(&self, ending: usize) -> bool {
        matches!(self.call(ending), Some("execve" | "execveat"))
    }

    fn call(&self, ending: usize) -> Option<&str> {
        let ending = self.endings.get(ending)?;
        Some(&self.classes[ending.class].call)
    }
}

/// The steps of a path, and its own instructions by phase.
pub(super) fn steps(
    trie: &Trie,
    ending: NodeId,
    functions: &Functions,
    rules: &Rules,
) -> (Vec<Step>, Phases) {
    let mut steps: Vec<Step> = Vec::new();
    let mut phases = Phases::default();
    for node in trie.path(ending) {
        let (_, instructions) = parts(trie.hot[node as usize].key);
        let cold = trie.cold[node as usize];
        // Until this step the function on top of the stack was executing.
        let before = trie.cold[cold.parent as usize].frame;
        if let Some(at) = index(&steps, before) {
            let step = &mut steps[at];
            step.own += u64::from(instructions);
            let phase = if step.has_called {
                step.phase.1
            } else {
                step.phase.0
            };
            phase.add_to(&mut phases, instructions.into());
        }
        if cold.frame != node {
            continue;
        }
        let parent = index(&steps, cold.outer);
        let function = trie.function(node);
        let rule = rules.rule(&functions.get(function).name);
        let caller = parent.map(|at| steps[at].phase);
        if let Some(at) = parent {
            steps[at].has_called = true;
        }
        steps.push(Step {
            node,
            function,
            parent,
            depth: parent.map_or(0, |at| steps[at].depth + 1),
            own: 0,
            phase: phases::of(rule, caller),
            has_called: false,
        });
    }
    (steps, phases)
}

/// Nodes are numbered in the order they are made, so steps are sorted by node.
pub(super) fn index(steps: &[Step], node: NodeId) -> Option<usize> {
    steps.binary_search_by_key(&node, |step| step.node).ok()
}

fn class_key(
    trie: &Trie,
    ending: NodeId,
    steps: &[Step],
    functions: &Functions,
    profile: &Profile,
) -> ClassKey {
    let name = |step: &Step| functions.get(step.function).name.as_str();
    let root = steps.first().map_or("unknown", &name);
    let root_kind = steps
        .first()
        .and_then(|step| parts(trie.hot[step.node as usize].key).0.kind());
    let kind = match root_kind {
        Some(Kind::SyscallEntry) => CrossingKind::Syscall,
        Some(Kind::FaultEntry) => CrossingKind::Fault,
        Some(Kind::InterruptEntry) => CrossingKind::Interrupt,
        _ if profile.calls.bypass.has(root) => CrossingKind::Bypass,
        _ => CrossingKind::Shortcut,
    };
    let names = || steps.iter().map(name);
    let call = match kind {
        CrossingKind::Syscall | CrossingKind::Bypass => {
            let call = names().find_map(|name| name.strip_prefix(IMPLEMENTATION));
            let protocol = names()
                .find_map(|name| PROTOCOLS.iter().find(|(function, _)| *function == name))
                .map(|(_, protocol)| *protocol);
            let left = parts(trie.hot[ending as usize].key).0.kind() == Some(Kind::AppEntry);
            match (call, protocol) {
                (Some(call), Some(protocol)) => format!("{call}:{protocol}"),
                (Some(call), None) => call.to_owned(),
                (None, _) if left => FULL_PATH.to_owned(),
                (None, _) => "unknown".to_owned(),
            }
        }
        CrossingKind::Shortcut => profile.shortcut(root).to_owned(),
        // The stub says nothing: what it jumps to has the name.
        _ if root.ends_with("_entries_start") => names().nth(1).unwrap_or(root).to_owned(),
        _ => root.to_owned(),
    };
    let mut hash = Fnv::new();
    hash.add(kind.name());
    for step in steps {
        hash.add(&step.depth.to_string());
        hash.add(name(step));
    }
    ClassKey {
        kind,
        call,
        signature: hash.0,
    }
}

/// FNV-1a: the same in every run and build, as an id must be.
pub(super) struct Fnv(pub(super) u64);

impl Fnv {
    pub(super) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The tree with totals; equal calls in a row become one node.
pub(super) fn tree(steps: &[Step], functions: &Functions) -> Option<Node> {
    let mut children: Vec<Vec<Node>> = vec![Vec::new(); steps.len()];
    for at in (0..steps.len()).rev() {
        let step = &steps[at];
        let mut mine = std::mem::take(&mut children[at]);
        mine.reverse();
        let mine = merged(mine);
        let function = functions.get(step.function);
        let node = Node {
            symbol: function.name.clone(),
            origin: function.origin,
            own: step.own,
            total: step.own + mine.iter().map(|child| child.total).sum::<u64>(),
            calls: 1,
            file: function.file.clone(),
            children: mine,
        };
        match step.parent {
            Some(parent) => children[parent].push(node),
            None => return Some(node),
        }
    }
    None
}

fn merged(nodes: Vec<Node>) -> Vec<Node> {
    let mut out: Vec<Node> = Vec::with_capacity(nodes.len());
    for node in nodes {
        match out.last_mut() {
            Some(last) if same_shape(last, &node) => absorb(last, &node),
            _ => out.push(node),
        }
    }
    out
}

fn same_shape(a: &Node, b: &Node) -> bool {
    a.symbol == b.symbol
        && a.children.len() == b.children.len()
        && a.children
            .iter()
            .zip(&b.children)
            .all(|(a, b)| same_shape(a, b))
}

fn absorb(into: &mut Node, other: &Node) {
    into.own += other.own;
    into.total += other.total;
    into.calls += other.calls;
    for (a, b) in into.children.iter_mut().zip(&other.children) {
        absorb(a, b);
    }
}

impl Trie {
    /// Whether the application made the crossing, and did not suffer it.
    pub(super) fn is_made(&self, node: NodeId) -> bool {
        let kind = self.kind(self.bottom(self.cold[node as usize].frame));
        !matches!(kind, Some(Kind::FaultEntry | Kind::InterruptEntry))
    }

    /// Whether a crossing that stands at this node began by a call, and so ends by a return.
    pub(super) fn is_call(&self, node: NodeId) -> bool {
        node != ROOT && self.ends_by_return(self.cold[node as usize].frame)
    }
}
