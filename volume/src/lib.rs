//! What a data volume is.
//!
//! A volume is a folder tree that is served as it stands, and one folder of the service's own, `.sounding`.
//! This crate is the only one that names or opens anything on it. It knows no HTTP, no screen and no async
//! runtime: calls block, and the caller chooses the thread.
//!
//! In reading order: [`layout`] spells the well-known names; [`RelPath`] is the one way from outside text to a
//! path; [`Volume`] finds files and folders beneath the root and nowhere else; [`Stat`] says which version of a
//! file was found; [`names`] lists a folder, and [`left_out`] what it leaves out; [`staging`] brings files in and makes each visible by one rename,
//! [`staged_folder`] whole folders;
//! [`uploads`] lets them go on after a break; [`transfers`] keeps what is known of those by wormhole; [`trash`] takes them out, for a while; [`tree`] moves and copies them; [`scan`] looks through all of it; [`space`] keeps some of the disk free;
//! [`clock`] says whether things may go by their age; [`observer`] notices what changes, and [`journal`] remembers it; [`keys`] says who may read and
//! write what, [`KeyFile`] keeps that on disk, and [`keys::sheet`] is how people see and change it;
//! [`keys::import`] come from the server that this one replaces, and [`owner`] is whom all of it belongs to;
//! [`server_lock`] sees to it that one server serves it, [`file_system`] says where other machines may change it unseen; [`keys::usage`] remembers when each was last used, [`console_settings`] how the console is liked to look, and [`Volume::keep_awake`] until when
//! an operator wants the service awake.

mod atomic_file;
pub mod clock;
pub mod console_settings;
pub mod copy_name;
mod error_chain;
pub mod file_system;
#[doc(hidden)]
pub mod fuzz;
pub mod journal;
mod keep_awake;
pub mod keys;
pub mod layout;
pub mod left_out;
pub mod names;
pub mod observer;
mod on_conflict;
pub mod owner;
mod parent_dir;
mod path;
pub mod permissions;
mod printable;
mod records;
mod resolve;
pub mod scan;
pub mod server_lock;
mod size;
mod small_file;
pub mod space;
pub mod staged_folder;
pub mod staged_id;
pub mod staging;
mod stat;
pub mod transfers;
pub mod trash;
pub mod tree;
pub mod uploads;
mod volume;

pub use error_chain::error_chain;
pub use keys::file::KeyFile;
pub use on_conflict::{OnConflict, ParseOnConflictError};
pub use path::{Refusal, RelPath, escape, unescape};
pub use printable::printable;
pub use size::size_text;
pub use stat::{FileId, Stat};
pub use volume::{
    Blocking, FindError, Found, FoundFile, FoundFolder, Loss, OpenVolumeError, Volume,
};
