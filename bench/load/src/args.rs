//! The command line.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};

/// Makes files for a benchmark, and asks a server for them.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) work: Work,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Work {
    /// Makes files whose bytes follow from their position.
    Make(Make),
    /// Asks for files, over and over, and prints figures as JSON.
    Ask(Ask),
}

#[derive(Debug, Parser)]
pub(crate) struct Make {
    /// `{}` stands for a file's number: each has bytes of its own.
    pub(crate) path: String,
    /// How many files, from 0 on.
    #[arg(long, default_value_t = 1)]
    pub(crate) files: u64,
    /// Bytes of each.
    #[arg(long)]
    pub(crate) size: u64,
}

#[derive(Debug, Parser)]
pub(crate) struct Ask {
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// What to ask for. `{}` stands for a file's number.
    #[arg(long)]
    pub(crate) target: String,
    /// How many files there are, from 0 on.
    #[arg(long, default_value_t = 1)]
    pub(crate) files: u64,
    /// Bytes of a file.
    #[arg(long)]
    pub(crate) size: u64,
    /// Which part of it.
    #[arg(long, value_enum, default_value_t = Part::Whole)]
    pub(crate) part: Part,
    /// Bytes of a range.
    #[arg(long, default_value_t = 1 << 20)]
    pub(crate) range: u64,
    /// Connections, each of which asks for the next as soon as it has one.
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// How long to ask, if each connection can have had an answer by then. Answers under way at the end are not counted.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Stops after so many answers.
    #[arg(long, default_value_t = u64::MAX)]
    pub(crate) answers: u64,
    /// Bytes a second that each connection takes at most.
    #[arg(long)]
    pub(crate) rate: Option<u64>,
    /// A header field to send with each request, as `NAME: VALUE`.
    #[arg(long = "field")]
    pub(crate) fields: Vec<String>,
    /// Asks for the tag first, and then only for what has another.
    #[arg(long)]
    pub(crate) revalidate: bool,
    /// One answer in so many is compared, byte by byte; 0: none.
    #[arg(long, default_value_t = 64)]
    pub(crate) compare: u64,
    /// Where random ranges begin.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The whole file.
    Whole,
    /// A range that begins anywhere.
    Random,
    /// One range after the other, from the beginning on.
    Onward,
}
