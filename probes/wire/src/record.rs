//! A record: when, and what.
//!
//! ```text
//! 63    60 59            32 31                              0
//! | kind  |  function id   |  low half of the clock          |
//! |------ the word --------|
//! ```
//!
//! The clock counts the vCPU's instructions. A record's stamp is the count of those executed when the
//! thing recorded begins to hold: before an entered function's first instruction, and after a return,
//! jump, sysret or iret. So own counts are plain differences of stamps.

/// What a record tells. The kinds up to [`Kind::Iret`] are steps of a path; the others change which path
/// is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A function of the kernel is entered.
    Entry = 1,
    /// A return instruction of the kernel.
    Return = 2,
    /// A jump that may be a tail call: it is one if an entry with the same stamp follows.
    Jump = 3,
    Sysret = 4,
    /// An `iret`, or what stands for it where the site says [`crate::SiteFlags::RETURNS`].
    Iret = 5,
    /// The kernel's entry point of the `syscall` instruction.
    SyscallEntry = 6,
    FaultEntry = 7,
    InterruptEntry = 8,
    /// A new task's first instruction.
    TaskStart = 9,
    AppEntry = 10,
    AppReturn = 11,
    AppJump = 12,
    /// The stack is switched. Three whole numbers follow: where the previous task's stack pointer was
    /// stored (0 where that was not seen), where the next one's was loaded from, and how many switches all
    /// vCPUs had made before: what puts their rings in order.
    Switch = 13,
    /// Recording goes on: what came before on this vCPU was not recorded, but for switches and the starts
    /// of tasks. In place of a function: the [`crate::Header::gate`] that is open, or [`LEFT_OUT`].
    Resume = 14,
    /// A call, or a jump in place of one, by which the application's own code is left. In place of a
    /// function: [`Word::place`].
    AppCall = 15,
}

/// The upper half of a record: a kind and the number of a function in the site table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Word(pub u32);

/// The numbers that follow a [`Kind::Switch`] and belong to it.
pub const SWITCH_NUMBERS: usize = 3;

/// The number of the function that holds what lies in none.
pub const NO_FUNCTION: u32 = 0;

/// One past the largest function number.
pub const FUNCTIONS: u32 = 1 << 28;

/// In a [`Kind::Resume`]: no gate was opened, but the crossing that the task is in is not recorded to its end.
/// The application's code is what is recorded next of that task, or another crossing of it.
pub const LEFT_OUT: u32 = FUNCTIONS - 1;

/// The first word that is no step of a path.
pub const FIRST_SPECIAL: u32 = (Kind::SyscallEntry as u32) << 28;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The low half of the clock.
    pub clock: u32,
    pub word: Word,
}

impl Kind {
    pub const ALL: [Self; 15] = [
        Self::Entry,
        Self::Return,
        Self::Jump,
        Self::Sysret,
        Self::Iret,
        Self::SyscallEntry,
        Self::FaultEntry,
        Self::InterruptEntry,
        Self::TaskStart,
        Self::AppEntry,
        Self::AppReturn,
        Self::AppJump,
        Self::Switch,
        Self::Resume,
        Self::AppCall,
    ];

    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1..=15 => Some(Self::ALL[number as usize - 1]),
            _ => None,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry => "ENTRY",
            Self::Return => "RETURN",
            Self::Jump => "JUMP",
            Self::Sysret => "SYSRET",
            Self::Iret => "IRET",
            Self::SyscallEntry => "SYSCALL_ENTRY",
            Self::FaultEntry => "FAULT_ENTRY",
            Self::InterruptEntry => "INTERRUPT_ENTRY",
            Self::TaskStart => "TASK_START",
            Self::AppEntry => "APP_ENTRY",
            Self::AppReturn => "APP_RETURN",
            Self::AppJump => "APP_JUMP",
            Self::Switch => "SWITCH",
            Self::Resume => "RESUME",
            Self::AppCall => "APP_CALL",
        }
    }

    /// Whether it says that a function was entered.
    #[must_use]
    pub const fn enters(self) -> bool {
        matches!(
            self,
            Self::Entry
                | Self::SyscallEntry
                | Self::FaultEntry
                | Self::InterruptEntry
                | Self::TaskStart
                | Self::AppEntry
        )
    }
}

impl Word {
    /// `function` is cut to 28 bits.
    #[must_use]
    pub const fn new(kind: Kind, function: u32) -> Self {
        Self((kind as u32) << 28 | (function & (FUNCTIONS - 1)))
    }

    /// The low 28 bits of an instruction's address: they tell those of one program apart.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low bits")]
    pub const fn place(address: u64) -> u32 {
        address as u32 & (FUNCTIONS - 1)
    }

    /// `None`: no probe writes this.
    #[must_use]
    pub const fn kind(self) -> Option<Kind> {
        Kind::from_number(self.0 >> 28)
    }

    #[inline]
    #[must_use]
    pub const fn function(self) -> u32 {
        self.0 & (FUNCTIONS - 1)
    }

    /// The same function's, of the kind of that number.
    #[inline]
    #[must_use]
    pub const fn of_kind(self, number: u32) -> Self {
        Self(number << 28 | self.function())
    }
}

impl Record {
    #[must_use]
    pub const fn encode(self) -> u64 {
        (self.word.0 as u64) << 32 | self.clock as u64
    }

    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a word")]
    pub const fn decode(raw: u64) -> Self {
        Self {
            clock: raw as u32,
            word: Word((raw >> 32) as u32),
        }
    }
}
