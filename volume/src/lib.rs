//! Everything that touches a data volume: paths, files, keys, the journal, uploads, the trash.
//!
//! A volume is a folder tree that is served as it stands, with one folder of the service's own, `.sounding`. Only this crate names or opens
//! anything on it. It knows no HTTP, no screen and no async runtime: calls block, and the caller chooses the thread.
//!
//! Paths and files:
//! - [`layout`] spells the well-known names. [`RelPath`] is the one way from outside text to a path.
//! - [`Volume`] finds files and folders beneath the root and nowhere else. [`Stat`] tells which version of a file was found.
//! - [`names`] lists a folder, [`left_out`] what the list leaves out. [`scan`] searches the whole tree.
//!
//! Changing the tree:
//! - [`staging`] brings files in and makes each visible by one rename; [`staged_folder`] does so for whole folders.
//! - [`uploads`] keeps uploads resumable, [`transfers`] keeps the records of wormhole transfers.
//! - [`tree`] moves and copies, [`trash`] deletes so that it can be undone.
//! - [`space`] keeps some of the disk free. [`clock`] decides whether things may be removed for their age.
//!
//! Changes and keys:
//! - [`observer`] notices changes, [`journal`] records them.
//! - [`keys`] says who may read and write what. [`KeyFile`] reads them from the disk, [`keys::sheet`] lets people view and edit them,
//!   [`keys::import`] takes them over from the server that this one replaces, [`keys::usage`] remembers when each was last used.
//!
//! Around the service:
//! - [`server_lock`] allows one server for each volume. [`owner`] finds files that belong to another user, [`permissions`] reports the
//!   modes of the service's own files.
//! - [`file_system`] tells where other machines may change files unseen.
//! - [`console_settings`] keeps the console's appearance, [`Volume::keep_awake`] until when an operator wants the service awake.

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
