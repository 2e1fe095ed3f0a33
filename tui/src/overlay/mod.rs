//! What lies over the panels and takes the keys: a line to type, the palette, help, a question.

mod help;
mod line;
mod palette;

pub(crate) use help::clear;
pub use help::{draw_help, last_scroll};
pub use line::{Prompt, PromptKind, Typed};
pub use palette::{Item, Palette};

#[derive(Debug, Default)]
pub enum Overlay {
    #[default]
    None,
    Prompt(Prompt),
    Palette(Palette),
    /// Rows scrolled down.
    Help(usize),
    /// Whether to leave, though the guest ends with us.
    Leave,
}
