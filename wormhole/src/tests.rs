//! The client against servers and peers of our own, which do what no real one does.

mod evil;
mod hostile_peers;
mod odd_servers;
mod server;
