//! Slices of a track, laid into each other by their times.

use crate::origin::Origin;
use crate::trace::flame::Builder;
use crate::trace::timeline::Entered;

/// A call on a track.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Its number among the names.
    pub(super) name: u32,
    pub(super) origin: Origin,
    pub(super) said: Said,
}

/// What the file says of a call beside its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    /// How often it happened, with all in it.
    Times(u64),
    /// Its instructions and its callees', without what interrupted it and other tasks: its time has these as well.
    Instructions(u64, Entered),
}

/// The beginning or the end of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) at: i64,
    /// None: an end.
    pub(super) begins: Option<(u32, Origin)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    pub(super) slices: Vec<Slice>,
    pub(super) marks: Vec<Mark>,
}

/// What had to be made to fit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    /// Calls that end after their callers.
    pub(super) cut: u64,
    /// Calls that begin and do not end.
    pub(super) open: u64,
    /// Ends of calls that did not begin.
    pub(super) ends: u64,
    /// Calls with which the sum is past 64 bits.
    pub(super) huge: u64,
    /// Calls that weigh their time, in a file of instructions.
    pub(super) untold: u64,
    /// Calls that tell more instructions than their time has: some were executed on another vCPU.
    pub(super) moved: u64,
}

/// A call that has not ended.
struct Open {
    end: i64,
    frame: usize,
    own: u64,
    times: u64,
    calls: Option<u64>,
    /// Where the file says it.
    entered: Option<Entered>,
    /// Of a class of crossings, or within it: its time is its instructions.
    of_class: bool,
}

impl Track {
    /// Marks become slices: an end is of the last call that began.
    fn pair(&mut self, trouble: &mut Trouble) {
        self.marks.sort_by_key(|mark| mark.at);
        let mut open: Vec<Slice> = Vec::new();
        let last = self.marks.last().map_or(0, |mark| mark.at);
        for mark in std::mem::take(&mut self.marks) {
            match (mark.begins, open.pop()) {
                (Some((name, origin)), before) => {
                    open.extend(before);
                    open.push(Slice {
                        start: mark.at,
                        end: mark.at,
                        name,
                        origin,
                        said: Said::Nothing,
                    });
                }
                (None, Some(slice)) => self.slices.push(Slice {
                    end: mark.at,
                    ..slice
                }),
                (None, None) => trouble.ends += 1,
            }
        }
        trouble.open += open.len() as u64;
        let closed = open.into_iter().map(|slice| Slice { end: last, ..slice });
        self.slices.extend(closed);
    }

    /// Puts the calls below a frame; `total` is the weight of all that was put anywhere.
    pub(super) fn nest<'a>(
        mut self,
        builder: &mut Builder<'a>,
        below: usize,
        name: &mut dyn FnMut(&Slice) -> std::borrow::Cow<'a, str>,
        total: &mut u64,
        trouble: &mut Trouble,
    ) {
        self.pair(trouble);
        // A call that begins with its caller is the shorter one.
        self.slices
            .sort_by_key(|slice| (slice.start, std::cmp::Reverse(slice.end)));
        let mut open: Vec<Open> = Vec::new();
        for slice in &self.slices {
            while open.last().is_some_and(|open| open.end <= slice.start) {
                open.pop().into_iter().for_each(|open| open.close(builder));
            }
            let outer = open.last_mut();
            let end = outer
                .as_ref()
                .map_or(slice.end, |outer| outer.end.min(slice.end));
            trouble.cut += u64::from(end < slice.end);
            // What cuts into a call is none of it, though it lies in its time.
            let outer = outer.filter(|outer| !slice.said.cuts_into(outer.entered));
            let time = end.abs_diff(slice.start);
            let length = match slice.said {
                Said::Instructions(told, _) => told.min(time),
                Said::Nothing | Said::Times(_) => time,
            };
            let moved = matches!(slice.said, Said::Instructions(told, _) if told > time);
            trouble.moved += u64::from(moved);
            let times = match (&outer, slice.said) {
                (Some(outer), _) => outer.times,
                (None, Said::Times(times)) => times,
                (None, _) => 1,
            };
            let of_class = slice.is_class() || outer.as_ref().is_some_and(|outer| outer.of_class);
            trouble.untold += u64::from(slice.said == Said::Nothing && !of_class && time > 0);
            let parent = match outer {
                Some(outer) => {
                    outer.own = outer.own.saturating_sub(length);
                    outer.frame
                }
                None => {
                    let sum = length
                        .checked_mul(times)
                        .and_then(|all| total.checked_add(all));
                    let Some(sum) = sum else {
                        trouble.huge += 1;
                        continue;
                    };
                    *total = sum;
                    below
                }
            };
            open.push(Open {
                end,
                frame: builder.child(parent, name(slice), slice.origin),
                own: length,
                times,
                calls: match (slice.said, times) {
                    (Said::Times(times), _) => Some(times),
                    (_, 1) => Some(1),
                    // Of what lies in a call that happened often, one slice stands for several calls.
                    _ => None,
                },
                entered: slice.said.entered(),
                of_class,
            });
        }
        while let Some(last) = open.pop() {
            last.close(builder);
        }
    }
}

impl Slice {
    pub(super) fn is_class(&self) -> bool {
        matches!(self.said, Said::Times(_))
    }

    pub(super) fn is_told(&self) -> bool {
        matches!(self.said, Said::Instructions(..))
    }
}

impl Said {
    fn entered(self) -> Option<Entered> {
        match self {
            Self::Instructions(_, entered) => Some(entered),
            Self::Nothing | Self::Times(_) => None,
        }
    }

    /// As a fault and an interrupt do into what they interrupt, and a signal's handler into the call that it comes
    /// before the end of.
    fn cuts_into(self, outer: Option<Entered>) -> bool {
        let in_kernel = outer.is_some_and(|outer| !outer.is_app());
        self.entered().is_some_and(|entered| match entered {
            Entered::Fault | Entered::Interrupt => true,
            Entered::App | Entered::AppJump => in_kernel,
            Entered::Kernel | Entered::KernelJump | Entered::Syscall | Entered::Call => false,
        })
    }
}

impl Open {
    fn close(self, builder: &mut Builder<'_>) {
        builder.count(self.frame, self.own.saturating_mul(self.times), self.calls);
    }
}
