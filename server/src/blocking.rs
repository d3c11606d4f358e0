//! Work that waits for the disk, on threads of its own.

use crate::problem::Problem;

/// Does the work on the blocking pool. Where it can't be done, that is a fault of ours.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)
}
