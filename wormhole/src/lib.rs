//! A magic-wormhole client for tokio: files, directories and texts, both ways, with a limit on every wait.
//!
//! Two people share a short code. Their programs meet at a mailbox server and agree on a key that only sides with the code can have. They
//! carry the data over a connection of their own: directly, or by a relay that sees only sealed records. This crate speaks the protocol
//! that all clients have deployed for files (version 1), in both roles.
//!
//! ```no_run
//! use wormhole::{Arrival, Code, IfNoPeer, Settings};
//!
//! # async fn receive() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::default();
//! let code = Code::parse("7-crossover-clockwork")?;
//! let wormhole = wormhole::join(&settings, &code, IfNoPeer::Fail).await?.peer().await?;
//! match wormhole.receive().await? {
//!     Arrival::Text(text) => println!("{text}"),
//!     Arrival::Offer(incoming) => {
//!         println!("{:?}", incoming.offer());
//!         let mut receiving = incoming.accept().await?;
//!         let mut received = Vec::new();
//!         while let Some(bytes) = receiving.next().await? {
//!             received.extend_from_slice(&bytes);
//!         }
//!         // Store the bytes durably here. Only then confirm them to the sender.
//!         receiving.finish().await?;
//!     }
//! }
//! // Good-byes to the mailbox server run in the background. A program that ends waits for them.
//! settings.tracker.close();
//! settings.tracker.wait().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What to rely on
//!
//! - Each step takes the value of the step before, so none can be left out. Dropping a value, or a future of one, at any moment ends the
//!   transfer properly: the other side is told, and the nameplate and the mailbox are released.
//! - A wait that ends before the other side has come leaves the code unused.
//! - Every wait has its limit in [`Timeouts`]. Where a future may be dropped without losing anything, its doc says so.
//! - No input from the other side makes the crate panic, hang or hold more than a few megabytes. Texts are returned without control
//!   characters. Names are returned unchanged; [`Offer::plain_name`] checks whether one is fit for a file.
//! - Hints from the other side lead to no service of this machine ([`HintPolicy`]).
//!
//! # What is left to others
//!
//! - Files: callers give bytes and get bytes.
//! - Directories: they travel as ZIP archives. The crate `zipstream` reads and writes these as bytes. The caller decides which files go
//!   into one, and where they are stored.
//! - Resuming: the protocol has none. A transfer that broke off begins again with a new code.
//! - Tor, and version 2 of the protocol, which no released client uses for files.
//!
//! # Sources
//!
//! The documents of the magic-wormhole project's `magic-wormhole-protocols`, and the behaviour of its Python client:
//!
//! | document | here |
//! |---|---|
//! | `server-protocol.md` | `server_message`, `websocket`, `mailbox` |
//! | `client-protocol.md` | `code`, `key`, `session` |
//! | `file-transfer-protocol.md` | `offer`, `peer_message`, `incoming`, `outgoing` |
//! | `transit.md` | `hints`, `transit`, `transit::connection`, `records` |

mod code;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod hex;
mod hints;
mod incoming;
mod key;
mod mailbox;
mod offer;
mod outgoing;
mod peer_message;
mod records;
mod rendezvous;
mod secretbox;
mod server_message;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod text;
mod transit;
mod websocket;
pub mod wordlist;

pub use code::{Code, CodeError};
pub use error::{Error, Stage};
pub use hints::{HintPolicy, NoRelayHint, RelayHint};
pub use incoming::{Incoming, Receiving};
pub use mailbox::IfNoPeer;
pub use offer::{NameError, Offer};
pub use outgoing::{Outgoing, Sending};
pub use rendezvous::{Arrival, Invitation, Wormhole, allocate, join};
pub use settings::{Settings, Timeouts};
pub use transit::Route;
