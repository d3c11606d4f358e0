//! The client against servers and peers that break the protocol as no real one does.

mod hostile_peer;
mod hostile_peers;
mod invalid_servers;
mod server;
