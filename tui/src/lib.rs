//! The operators' console, and the same without a screen.
//!
//! In reading order: [`cli`] is what can be asked for; [`ops`] does it, each thing once; [`run`] does it without a
//! screen. With one, [`key`] says what each key does, [`help`] what else there is to know, [`model`] is all that is shown, [`update`] changes it, [`view`]
//! draws it, [`palette`] is what can be typed behind a colon, [`effect`] is what it asks of the world and hears back, [`work`] does that, [`term`] is the terminal and
//! [`console`] the loop. [`admin`] asks the
//! running server; [`service_user`] is whom root becomes before anything else; [`interrupt`] is how commands are stopped; [`text`] is how names, sizes and times are shown.

pub mod admin;
pub mod cli;
pub mod console;
pub mod effect;
pub mod help;
pub mod interrupt;
pub mod key;
pub mod model;
pub mod ops;
pub mod palette;
pub mod preview;
pub mod run;
pub mod service_user;
pub mod term;
pub mod text;
pub mod update;
pub mod view;
pub mod work;
