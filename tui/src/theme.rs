//! Styles by meaning. An origin has one colour everywhere; without colour its letter says it.

use debugger::origin::Origin;
use ratatui::style::{Color, Modifier, Style};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    colour: bool,
}

impl Theme {
    #[must_use]
    pub const fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// No colour where `NO_COLOR` is set and not empty (<https://no-color.org>).
    #[must_use]
    pub fn from_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    const fn fg(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    #[must_use]
    pub const fn origin(self, origin: Origin) -> Style {
        match origin {
            Origin::App => self.fg(Color::Green),
            Origin::Libc => self.fg(Color::Cyan),
            Origin::Entry => self.fg(Color::Magenta),
            Origin::Kernel(_) => self.fg(Color::Yellow),
            Origin::Unknown => self.fg(Color::DarkGray),
        }
    }

    #[must_use]
    pub const fn crossing(self) -> Style {
        self.fg(Color::Magenta).add_modifier(Modifier::BOLD)
    }

    #[must_use]
    pub const fn rule(self) -> Style {
        self.fg(Color::DarkGray)
    }

    #[must_use]
    pub const fn title(self, focused: bool) -> Style {
        if focused {
            Style::new().add_modifier(Modifier::BOLD)
        } else {
            self.fg(Color::Gray)
        }
    }

    /// The bar at the top, and the marked row of a list.
    #[must_use]
    pub const fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    #[must_use]
    pub const fn selected(self, focused: bool) -> Style {
        if focused {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new().add_modifier(Modifier::UNDERLINED)
        }
    }

    /// Where the program counter is.
    #[must_use]
    pub const fn current(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    #[must_use]
    pub const fn changed(self) -> Style {
        self.fg(Color::LightRed).add_modifier(Modifier::BOLD)
    }

    /// What may no longer be true, or matters less.
    #[must_use]
    pub const fn dim(self) -> Style {
        self.fg(Color::DarkGray).add_modifier(Modifier::DIM)
    }

    #[must_use]
    pub const fn alarm(self) -> Style {
        self.fg(Color::Red).add_modifier(Modifier::BOLD)
    }

    #[must_use]
    pub const fn good(self) -> Style {
        self.fg(Color::Green)
    }

    #[must_use]
    pub const fn key(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// A phase of a path, by its place in [`debugger::trace::report::Phases::named`].
    #[must_use]
    pub const fn phase(self, index: usize) -> Style {
        self.fg(match index {
            0 | 6 => Color::Magenta,
            1 | 5 => Color::Red,
            2 => Color::Blue,
            3 => Color::Cyan,
            _ => Color::Yellow,
        })
    }
}
