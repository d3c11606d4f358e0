//! The client against servers and peers of our own, which do what no real one does.

mod hostile_peer;
mod hostile_peers;
mod invalid_servers;
mod server;
