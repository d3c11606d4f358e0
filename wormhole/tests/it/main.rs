//! The client tested against itself, against the real peers and servers, and against hostile ones.
