//! Drawings that know data and a rectangle, and nothing of the model.

pub mod arrows;
pub mod bar;
pub mod cursor;
pub mod frames;
pub mod highlight;
pub mod names;
pub mod strip;
pub mod table;
pub mod text;
