//! A magic-wormhole client for tokio: files, directories and texts, both ways, with limits on every wait.
//!
//! Two people share a short code. Their programs meet at a mailbox server, agree on a key that only who knows the code
//! can have, and carry the data over a connection of their own: directly, or by a relay that sees nothing but sealed
//! records. This crate speaks the protocol that all clients have deployed for files (version 1), in both roles.
//!
//! ```no_run
//! use wormhole::{Absent, Arrival, Code, Settings};
//!
//! # async fn receive() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::default();
//! let code = Code::parse("7-crossover-clockwork")?;
//! let wormhole = wormhole::join(&settings, &code, Absent::Fail).await?.peer().await?;
//! match wormhole.receive().await? {
//!     Arrival::Text(text) => println!("{text}"),
//!     Arrival::Offer(incoming) => {
//!         println!("{:?}", incoming.offer());
//!         let mut receiving = incoming.accept().await?;
//!         let mut received = Vec::new();
//!         while let Some(bytes) = receiving.next().await? {
//!             received.extend_from_slice(&bytes);
//!         }
//!         // Here what has come is stored for good; only then the sender is told so.
//!         receiving.finish().await?;
//!     }
//! }
//! // Good-byes to the mailbox server go on by themselves; a program that ends waits for them.
//! settings.tracker.close();
//! settings.tracker.wait().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What to rely on
//!
//! - Each step takes the value of the step before, so none can be left out. Dropping a value, or a future of one, at any
//!   moment is a polite end: the other side is told, and the code's number and the mailbox are given back.
//! - A wait that ends before the other side has come leaves the code as it was.
//! - Every wait has its limit in [`Timeouts`]. Where a future may be dropped without losing anything, its text says so.
//! - What the other side sends can't make the crate panic, hang or hold more than a few megabytes. Its texts come without
//!   control characters; its names come as they are, and [`Offer::plain_name`] says whether one is fit for a file.
//! - Its hints lead to no service of this machine ([`HintPolicy`]).
//!
//! # What is left to others
//!
//! Files: callers give bytes and get bytes. Directories travel as ZIP archives, which the crate `zipstream` reads and writes as bytes; which
//! files go into one, and where they come to lie, is the caller's business as well. Resuming, which the protocol does not have: a
//! transfer that broke off begins again with a new code. Tor, and version 2 of the protocol, which no released
//! client uses for files.
//!
//! # Sources
//!
//! The documents of the magic-wormhole project's `magic-wormhole-protocols`, and the behaviour of its Python client:
//!
//! | document | here |
//! |---|---|
//! | `server-protocol.md` | `server_message`, `line`, `mailbox` |
//! | `client-protocol.md` | `code`, `key`, `session` |
//! | `file-transfer-protocol.md` | `offer`, `peer_message`, `incoming`, `outgoing` |
//! | `transit.md` | `hints`, `transit`, `link`, `records` |

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
