//! The operators' console, and the same without a screen.

pub mod text;
