//! Styles by meaning. An origin has one colour everywhere; without colour its letter says it.

use std::str::FromStr;

use debugger::origin::Origin;
use debugger::trace::flame::butterfly::Band;
use ratatui::style::{Color, Modifier, Style};

use crate::widgets::highlight::Token;

/// How the screen is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Palette {
    /// For a dark background, in the terminal's own sixteen colours.
    #[default]
    Dark,
    /// For a light background.
    Light,
    /// Bright, and told apart by the colour-blind too (after Okabe and Ito).
    Contrast,
    /// No colour at all.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    palette: Palette,
}

impl Palette {
    pub const ALL: [Self; 4] = [Self::Dark, Self::Light, Self::Contrast, Self::None];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Contrast => "contrast",
            Self::None => "none",
        }
    }

    /// No colour where `NO_COLOR` is set and not empty (<https://no-color.org>).
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        refused.then_some(Self::None)
    }

    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|one| *one == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

impl FromStr for Palette {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or(())
    }
}

impl From<Palette> for Theme {
    fn from(palette: Palette) -> Self {
        Self { palette }
    }
}

impl Theme {
    #[must_use]
    pub const fn new(colour: bool) -> Self {
        let palette = if colour { Palette::Dark } else { Palette::None };
        Self { palette }
    }

    #[must_use]
    pub const fn palette(self) -> Palette {
        self.palette
    }

    /// One colour for each background; the last two of the 256 that every terminal has.
    const fn fg(self, dark: Color, light: u8, contrast: u8) -> Style {
        match self.palette {
            Palette::Dark => Style::new().fg(dark),
            Palette::Light => Style::new().fg(Color::Indexed(light)),
            Palette::Contrast => Style::new().fg(Color::Indexed(contrast)),
            Palette::None => Style::new(),
        }
    }

    #[must_use]
    pub const fn origin(self, origin: Origin) -> Style {
        match origin {
            Origin::App => self.fg(Color::Green, 28, 117),
            Origin::Libc => self.fg(Color::Cyan, 30, 43),
            Origin::Entry => self.fg(Color::Magenta, 90, 218),
            Origin::Kernel(_) => self.fg(Color::Yellow, 130, 227),
            Origin::Unknown => self.fg(Color::DarkGray, 244, 250),
        }
    }

    /// A frame of that origin: its colour as the background.
    #[must_use]
    pub fn frame(self, origin: Origin) -> Style {
        filled(self.origin(origin))
    }

    /// What spans a part of a difference.
    #[must_use]
    pub const fn band(self, band: Band) -> Style {
        match band {
            Band::Removed => self.fg(Color::LightRed, 160, 208),
            Band::Both => Style::new(),
            Band::Added => self.fg(Color::LightBlue, 26, 117),
        }
    }

    /// What a function itself adds to that part.
    #[must_use]
    pub fn solid(self, band: Band) -> Style {
        match band {
            Band::Both => filled(self.fg(Color::Gray, 250, 250)),
            Band::Removed | Band::Added => filled(self.band(band)),
        }
        .remove_modifier(Modifier::DIM)
    }

    #[must_use]
    pub const fn crossing(self) -> Style {
        self.fg(Color::Magenta, 90, 218)
            .add_modifier(Modifier::BOLD)
    }

    #[must_use]
    pub const fn rule(self) -> Style {
        self.fg(Color::DarkGray, 248, 255)
    }

    #[must_use]
    pub const fn title(self, focused: bool) -> Style {
        if focused {
            Style::new().add_modifier(Modifier::BOLD)
        } else {
            self.fg(Color::Gray, 238, 255)
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
        self.fg(Color::LightRed, 160, 214)
            .add_modifier(Modifier::BOLD)
    }

    /// What may no longer be true, or matters less.
    #[must_use]
    pub const fn dim(self) -> Style {
        let style = self.fg(Color::DarkGray, 242, 250);
        match self.palette {
            Palette::Dark | Palette::None => style.add_modifier(Modifier::DIM),
            Palette::Light | Palette::Contrast => style,
        }
    }

    #[must_use]
    pub const fn alarm(self) -> Style {
        self.fg(Color::Red, 160, 208).add_modifier(Modifier::BOLD)
    }

    #[must_use]
    pub const fn good(self) -> Style {
        self.fg(Color::Green, 28, 117)
    }

    #[must_use]
    pub const fn key(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// A part of a source line.
    #[must_use]
    pub const fn token(self, token: Token) -> Style {
        match token {
            Token::Comment => self.fg(Color::DarkGray, 244, 250),
            Token::Text => self.fg(Color::Green, 28, 114),
            Token::Number => self.fg(Color::LightBlue, 26, 117),
            Token::Keyword => self.fg(Color::LightMagenta, 90, 218),
            Token::Type => self.fg(Color::Cyan, 30, 43),
            Token::Call => self.fg(Color::LightYellow, 130, 227),
            Token::Directive => self.fg(Color::LightRed, 160, 214),
            Token::Register => self.fg(Color::LightCyan, 31, 123),
        }
    }

    /// A phase of a path, by its place in [`debugger::trace::report::Phases::named`].
    #[must_use]
    pub const fn phase(self, index: usize) -> Style {
        match index {
            0 | 6 => self.fg(Color::Magenta, 90, 218),
            1 | 5 => self.fg(Color::Red, 160, 208),
            2 => self.fg(Color::Blue, 26, 117),
            3 => self.fg(Color::Cyan, 30, 43),
            _ => self.fg(Color::Yellow, 130, 227),
        }
    }
}

/// The colour as the background, with what can be read on it.
fn filled(style: Style) -> Style {
    match style.fg {
        Some(colour) => Style::new().bg(colour).fg(Color::Black),
        None => style,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn palettes_go_round_and_have_names() {
        let mut palette = Palette::Dark;
        for _ in Palette::ALL {
            assert_eq!(palette.name().parse(), Ok(palette));
            palette = palette.next();
        }
        assert_eq!(palette, Palette::Dark);
        assert!("mauve".parse::<Palette>().is_err());
    }

    #[test]
    fn without_colour_there_is_none() {
        let theme = Theme::from(Palette::None);
        assert_eq!(theme.origin(Origin::App), Style::new());
        assert_eq!(theme.token(Token::Keyword), Style::new());
        assert_ne!(Theme::new(true).origin(Origin::App), Style::new());
    }
}
