//! What can be asked of a target that runs and shares its memory.

use super::{Command, Info};

impl Command {
    /// Whether the guest's memory and its vmlinux are enough for an answer.
    #[must_use]
    pub const fn needs_memory_alone(&self) -> bool {
        match self {
            Self::Tasks { .. }
            | Self::TaskBacktrace { .. }
            | Self::Space { .. }
            | Self::TaskSpace { .. }
            | Self::Print { .. }
            | Self::Display { .. }
            | Self::Undisplay { .. }
            | Self::Examine { .. }
            | Self::Find { .. }
            | Self::Type { .. }
            | Self::Symbols { .. }
            | Self::Help(_) => true,
            Self::Info(info) => matches!(
                info,
                Info::Symbol(_)
                    | Info::Line(Some(_))
                    | Info::Functions(_)
                    | Info::Types(_)
                    | Info::Target
                    | Info::Vmas { .. }
                    | Info::PerCpu(_)
                    | Info::Interrupts
            ),
            _ => false,
        }
    }
}
