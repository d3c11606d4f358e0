//! Any bytes as the head of a request: what the fast path takes for a plain read is one.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(sounding_server::fuzz::head);
