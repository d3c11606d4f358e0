//! The operators' console, and the same without a screen.
//!
//! In reading order: [`cli`] is what can be asked for; [`ops`] does it, each thing once; [`run`] does it
//! without a screen; [`text`] is how names, sizes
//! and times are shown.

pub mod cli;
pub mod ops;
pub mod run;
pub mod text;
