//! All paths ever taken, as one automaton.
//!
//! A node is what was seen so far since a crossing began; an edge is the next step, taken after an exact
//! number of instructions: `word << 32 | instructions`. A path that was walked before costs one compare
//! per step. Everything about a node is worked out once, when it is first reached: the stack of functions
//! at that point, and whether the crossing ends there.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use wire::Kind;

use crate::trace::functions::Functions;

/// A node's number; 0 is the root, from which crossings begin.
pub(super) type NodeId = u32;

pub(super) const ROOT: NodeId = 0;

/// Set in [`Hot::end`] where the path ends.
pub(super) const GOES_ON: u32 = 0;

/// Sixteen bytes: what each step touches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hot {
    pub(super) key: u64,
    /// The child that was taken last.
    pub(super) next: NodeId,
    /// [`GOES_ON`], or one more than the number of the ending.
    pub(super) end: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cold {
    pub(super) parent: NodeId,
    /// The node at which the function on top of the stack was entered.
    pub(super) frame: NodeId,
    /// Of an entering node: the frame that a return from it leads back to; `ROOT`: out of the crossing.
    back_to: NodeId,
    /// Of an entering node: the frame it is shown under.
    pub(super) outer: NodeId,
    /// The child that was found first. Few nodes have another.
    first: NodeId,
    /// Steps from the crossing's beginning.
    depth: u32,
}

#[derive(Debug)]
pub(super) struct Trie {
    pub(super) hot: Vec<Hot>,
    pub(super) cold: Vec<Cold>,
    /// Children but the first ones.
    edges: HashMap<(NodeId, u64), NodeId, BuildHasherDefault<EdgeHasher>>,
    /// Nodes at which a crossing ended, in the order they were found.
    pub(super) endings: Vec<NodeId>,
    /// Returns that no entry explains.
    pub(super) unbalanced: u64,
}

/// Mixes the two numbers of an edge; they need no more.
#[derive(Default)]
pub(super) struct EdgeHasher(u64);

impl Hasher for EdgeHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 29;
    }
}

pub(super) const fn key(word: u32, instructions: u32) -> u64 {
    (word as u64) << 32 | instructions as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a key")]
pub(super) const fn parts(key: u64) -> (wire::Word, u32) {
    (wire::Word((key >> 32) as u32), key as u32)
}

/// A key that no record makes: the application's code was reached without a return.
pub(super) fn left_to_app(instructions: u32) -> u64 {
    key(wire::Word::new(Kind::AppEntry, 0).0, instructions)
}

impl Trie {
    pub(super) fn new() -> Self {
        let cold = Cold {
            parent: ROOT,
            frame: ROOT,
            back_to: ROOT,
            outer: ROOT,
            first: ROOT,
            depth: 0,
        };
        Self {
            hot: vec![Hot {
                key: 0,
                next: ROOT,
                end: GOES_ON,
            }],
            cold: vec![cold],

            edges: HashMap::default(),
            endings: Vec::new(),
            unbalanced: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.hot.len()
    }

    /// How many steps from its crossing's beginning a node is.
    pub(super) fn depth(&self, node: NodeId) -> u32 {
        self.cold[node as usize].depth
    }

    /// The child of `from` over `key`, made if need be; it becomes the one taken last.
    pub(super) fn step(&mut self, from: NodeId, key: u64, functions: &Functions) -> NodeId {
        let first = self.cold[from as usize].first;
        let node = if self.hot[first as usize].key == key {
            first
        } else if let Some(node) = self.edges.get(&(from, key)) {
            *node
        } else {
            self.add(from, key, functions)
        };
        self.hot[from as usize].next = node;
        node
    }

    #[cold]
    fn add(&mut self, parent: NodeId, key: u64, functions: &Functions) -> NodeId {
        let node = u32::try_from(self.hot.len()).unwrap_or(NodeId::MAX);
        let (word, instructions) = parts(key);
        let top = self.cold[parent as usize].frame;
        let mut cold = Cold {
            parent,
            frame: top,
            back_to: ROOT,
            outer: ROOT,
            first: ROOT,
            depth: self.cold[parent as usize].depth + 1,
        };
        let mut ends = false;
        match word.kind() {
            // Reached without a return: only `left_to_app` makes this a step.
            Some(Kind::AppEntry) => ends = true,
            Some(kind) if parent == ROOT || kind.enters() => {
                self.enter(&mut cold, node, top, (word, instructions), functions);
            }
            Some(Kind::Return) => match self.return_from(top, word.function()) {
                Some(ROOT) if self.ends_by_return(top) => ends = true,
                Some(ROOT) => self.unbalanced += 1,
                // Code that was entered past its entry, by a jump or a call: the caller's instructions.
                None => {}
                Some(frame) => cold.frame = frame,
            },
            Some(Kind::Sysret | Kind::Iret) => ends = true,
            _ => {}
        }
        self.hot.push(Hot {
            key,
            next: ROOT,
            end: GOES_ON,
        });
        self.cold.push(cold);
        if ends {
            self.endings.push(node);
            self.hot[node as usize].end = u32::try_from(self.endings.len()).unwrap_or(u32::MAX);
        }
        let first = &mut self.cold[parent as usize].first;
        if *first == ROOT {
            *first = node;
        } else {
            self.edges.insert((parent, key), node);
        }
        node
    }

    fn enter(
        &self,
        cold: &mut Cold,
        node: NodeId,
        top: NodeId,
        (word, instructions): (wire::Word, u32),
        functions: &Functions,
    ) {
        let jumped = instructions == 0 && self.kind(cold.parent) == Some(Kind::Jump);
        let label = functions.get(word.function()).label;
        if top == ROOT {
            cold.frame = node;
        } else if jumped && self.function(top) == word.function() {
            // A loop to the function's own start.
        } else if jumped || label {
            cold.frame = node;
            cold.back_to = self.cold[top as usize].back_to;
            // Pieces of assembly follow each other; a function that is jumped to is shown under the other.
            cold.outer = if label { self.bottom(top) } else { top };
        } else {
            cold.frame = node;
            cold.back_to = top;
            cold.outer = top;
        }
    }

    /// The frame that a return instruction inside `function` leads to. `None`: that function was never
    /// entered, so neither is it left.
    fn return_from(&self, top: NodeId, function: u32) -> Option<NodeId> {
        let mut frame = top;
        while frame != ROOT {
            if self.function(frame) == function || function == wire::record::NO_FUNCTION {
                return Some(self.cold[frame as usize].back_to);
            }
            frame = self.cold[frame as usize].outer;
        }
        None
    }

    /// Bypass and shortcuts are calls; the others end by an instruction of their own.
    pub(super) fn ends_by_return(&self, frame: NodeId) -> bool {
        self.kind(self.bottom(frame)) == Some(Kind::Entry)
    }

    pub(super) fn bottom(&self, mut frame: NodeId) -> NodeId {
        while self.cold[frame as usize].outer != ROOT {
            frame = self.cold[frame as usize].outer;
        }
        frame
    }

    pub(super) fn kind(&self, node: NodeId) -> Option<Kind> {
        parts(self.hot[node as usize].key).0.kind()
    }

    pub(super) fn function(&self, node: NodeId) -> u32 {
        parts(self.hot[node as usize].key).0.function()
    }

    /// The nodes from the first to `end`.
    pub(super) fn path(&self, end: NodeId) -> Vec<NodeId> {
        let mut path = Vec::new();
        let mut node = end;
        while node != ROOT {
            path.push(node);
            node = self.cold[node as usize].parent;
        }
        path.reverse();
        path
    }
}
