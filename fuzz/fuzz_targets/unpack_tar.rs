//! Any bytes as a tar that is received and unpacked: it lies in its folder and has plain names, or nothing is left of it.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::unpacking::tar);
