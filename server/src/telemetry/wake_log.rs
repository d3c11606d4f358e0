//! What woke the service, said once in the log: the first request, if it came with the start.
//!
//! A machine that sleeps when nobody needs it costs little, unless something wakes it all the time. This line says who.

use std::time::Duration;

use http::{HeaderMap, header};

use crate::telemetry::activity::{Activity, InFlight};
use crate::telemetry::log::Escaped;

/// Whoever wakes a machine waits for its answer, so it comes within this.
const WITH_THE_START: Duration = Duration::from_secs(10);
/// Letters of a client's own name for itself.
const LONGEST_AGENT: usize = 200;

/// A request has come in; the first of all may be what woke the service.
pub(crate) fn came(activity: &Activity, open: &InFlight, headers: &HeaderMap) {
    let up = activity.up();
    if !open.is_first() || up > WITH_THE_START {
        return;
    }
    let agent = headers.get(header::USER_AGENT).map(|it| String::from_utf8_lossy(it.as_bytes()));
    let agent: String = agent.as_deref().unwrap_or("-").chars().take(LONGEST_AGENT).collect();
    tracing::info!(
        method = %open.method(),
        path = %Escaped(open.path()),
        client = %open.client(),
        agent = %Escaped(&agent),
        millis = up.as_millis(),
        "woken by a request"
    );
}

/// Says so where none came with the start.
pub(crate) async fn or_not(activity: &Activity) {
    tokio::time::sleep(WITH_THE_START).await;
    if !activity.has_begun() {
        let seconds = WITH_THE_START.as_secs();
        tracing::info!("woken by no request: none came within {seconds} s of the start");
    }
}
