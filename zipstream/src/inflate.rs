//! Inflates deflated data, one bounded piece after the other.

use flate2::{Decompress, DecompressError, FlushDecompress, Status};

use crate::sink::CHUNK;

/// The state of the decompressor, and a buffer for one piece.
pub(super) struct Inflater {
    state: Decompress,
    output: Vec<u8>,
}

/// The result of one step.
pub(super) struct Piece<'a> {
    pub(super) used: usize,
    pub(super) output: &'a [u8],
    pub(super) is_last: bool,
}

impl Inflater {
    pub(super) fn new() -> Inflater {
        Inflater { state: Decompress::new(false), output: vec![0; CHUNK] }
    }

    /// Starts again, with the first byte of another entry's data.
    pub(super) fn begin(&mut self) {
        self.state.reset(false);
    }

    /// One step: uses some of the input and makes one piece of output, until neither happens any more.
    pub(super) fn inflate(&mut self, input: &[u8]) -> Result<Piece<'_>, DecompressError> {
        let (used, made) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(input, &mut self.output, FlushDecompress::None)?;
        let step = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
        Ok(Piece {
            used: step(used, self.state.total_in()),
            output: self.output.get(..step(made, self.state.total_out())).unwrap_or_default(),
            is_last: status == Status::StreamEnd,
        })
    }
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Inflater").finish_non_exhaustive()
    }
}
