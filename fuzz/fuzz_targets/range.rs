//! Any bytes as a file's length and a `Range`: what is selected lies within the file.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(sounding_server::fuzz::range);
