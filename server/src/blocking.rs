//! Runs blocking work on the blocking pool.

use crate::problem::Problem;

/// Runs work on the blocking pool. A panic in it becomes an internal error.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)
}
