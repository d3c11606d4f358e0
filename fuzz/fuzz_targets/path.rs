//! Any bytes as a path: none leaves the volume, and each can be written and read again.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(volume::fuzz::path);
