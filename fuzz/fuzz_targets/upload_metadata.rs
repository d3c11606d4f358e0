//! Any bytes as what a tus client says of its upload: it has a name that is served, or is refused.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(sounding_server::fuzz::upload_metadata);
