//! The metrics for Prometheus, on a port of their own.
//!
//! Events are [counted](crate::telemetry::counters) when they happen; states are read at each scrape. Metrics contain no names of people or
//! files, and no addresses.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{HeaderMap, header};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

mod encoder;
mod process;
mod requests;
mod service;
mod transfers;

use process::OfProcess;
use requests::OfRequests;
use service::OfService;
use transfers::OfTransfers;

use crate::app::App;
use crate::http::accept;
use crate::problem::Problem;

/// Prefix of the service's own metric names.
const PREFIX: &str = "sounding";
/// The media type of `OpenMetrics`. Clients that do not ask for it get the older text format, which all can read.
const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_1: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A format of the response: its media type, and its encoder.
type Form = (&'static str, fn(&mut String, &Registry) -> fmt::Result);

/// The only route.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(OfProcess));
    let ours = registry.sub_registry_with_prefix(PREFIX);
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    ours.register("build", "Which program this is", Info::new(version));
    ours.register_collector(Box::new(OfRequests(Arc::clone(&app.activity))));
    ours.register_collector(Box::new(OfTransfers(app.transfers.clone())));
    ours.register_collector(Box::new(OfService(Arc::clone(app))));
    Router::new()
        .route("/metrics", get(answer))
        .fallback(|| async { Problem::NotFound })
        .with_state(Arc::new(registry))
}

async fn answer(
    State(registry): State<Arc<Registry>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let (content_type, encode) = form(&headers);
    // Reading the volume's free space may block on a disk.
    let encoded = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        encode(&mut text, &registry).map(|()| text)
    });
    let text = encoded.await.map_err(Problem::internal)?.map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, content_type), (header::VARY, "Accept")], text))
}

fn form(headers: &HeaderMap) -> Form {
    let liking = |media_type| accept::liking(headers, media_type);
    if liking(OPEN_METRICS) > liking("text/plain") {
        (OPEN_METRICS_1, text::encode)
    } else {
        (prometheus_text::CONTENT_TYPE, prometheus_text::encode)
    }
}
