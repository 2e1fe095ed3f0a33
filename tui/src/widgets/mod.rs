//! Drawings that know data and a rectangle, and nothing of the model.

pub mod bar;
pub mod cursor;
pub mod strip;
pub mod table;
pub mod text;
