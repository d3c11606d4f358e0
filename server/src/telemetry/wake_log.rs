//! Logs once what woke the service: the first request, if it came right after the start.
//!
//! A machine that sleeps when it is not needed is cheap, unless something wakes it all the time. This line shows the client.

use std::time::Duration;

use http::{HeaderMap, header};

use crate::telemetry::activity::{Activity, InFlight};
use crate::telemetry::log::Escaped;

/// A client that wakes the machine waits for its response, so its request arrives within this time.
const WITH_THE_START: Duration = Duration::from_secs(10);
/// Longest logged `User-Agent`, in characters.
const LONGEST_AGENT: usize = 200;

/// Logs a request if it is the first and may have woken the service.
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

/// Logs if no request came with the start.
pub(crate) async fn or_not(activity: &Activity) {
    tokio::time::sleep(WITH_THE_START).await;
    if !activity.has_begun() {
        let seconds = WITH_THE_START.as_secs();
        tracing::info!("woken by no request: none came within {seconds} s of the start");
    }
}
