//! `sounding-server`: the file service as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    sounding_server::main()
}
