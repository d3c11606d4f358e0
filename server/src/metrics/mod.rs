//! What Prometheus scrapes, on a port of its own.
//!
//! What happened is [counted](crate::telemetry::counters) as it happens; what is so at a moment is read off when somebody asks. Names
//! of people, files and addresses are in none of it.

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

/// What comes before the names that are ours.
const PREFIX: &str = "sounding";
/// `OpenMetrics`, for those who ask for it: without, it is the older text, which all read.
const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_1: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How the answer is written: its type, and what writes it.
type Form = (&'static str, fn(&mut String, &Registry) -> fmt::Result);

/// The one route there is.
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
    // The volume is asked how full it is, which may have to wait for a disk.
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
