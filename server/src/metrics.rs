//! What Prometheus scrapes, on a port of its own: wormhole transfers, as counters and gauges.
//!
//! Nothing is counted here: each answer is made of what the transfers know of themselves at that moment.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use transfers::Transfers;
use transfers::transfer::{Direction, Transfer};

use crate::app::App;
use crate::problem::Problem;

/// As `OpenMetrics` 1.0 has it.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The one route there is.
pub fn router(app: &App) -> Router {
    let mut registry = Registry::with_prefix("sounding");
    registry.register_collector(Box::new(OfTransfers(app.transfers.clone())));
    Router::new()
        .route("/metrics", get(answer))
        .fallback(|| async { Problem::NotFound })
        .with_state(Arc::new(registry))
}

async fn answer(State(registry): State<Arc<Registry>>) -> Result<impl IntoResponse, Problem> {
    let mut text = String::new();
    encode(&mut text, &registry).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

/// A metric of a transfer: its name, what it is, and how it is read off.
type Figure = (&'static str, &'static str, fn(&Transfer) -> u64);

#[derive(Debug)]
struct OfTransfers(Transfers);

impl Collector for OfTransfers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let totals = self.0.totals();
        let running = ConstGauge::new(totals.running);
        let of = encoder.encode_descriptor(
            "transfers_running",
            "Wormhole transfers under way",
            None,
            running.metric_type(),
        )?;
        running.encode(of)?;

        let ended = ConstCounter::new(0_u64);
        let mut family = encoder.encode_descriptor(
            "transfers_ended",
            "Wormhole transfers that are over",
            None,
            ended.metric_type(),
        )?;
        for (how, count) in
            [("done", totals.done), ("failed", totals.failed), ("not_wanted", totals.not_wanted)]
        {
            ConstCounter::new(count).encode(family.encode_family(&[("outcome", how)])?)?;
        }

        let mut family = encoder.encode_descriptor(
            "transfer",
            "Bytes that wormhole transfers have moved",
            Some(&Unit::Bytes),
            ended.metric_type(),
        )?;
        for (direction, bytes) in [("receive", totals.received), ("send", totals.sent)] {
            ConstCounter::new(bytes).encode(family.encode_family(&[("direction", direction)])?)?;
        }

        self.progress(&mut encoder)
    }
}

impl OfTransfers {
    /// Of each transfer under way.
    fn progress(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let live = self.0.under_way();
        let kind = ConstGauge::new(0_u64).metric_type();
        let figures: [Figure; 2] = [
            ("transfer_moved", "Bytes that a transfer under way has moved", |it| it.done),
            ("transfer_size", "Bytes that a transfer under way has in all", |it| it.total()),
        ];
        for (name, help, figure) in figures {
            let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), kind)?;
            for transfer in &live {
                let direction = match transfer.direction {
                    Direction::Receive => "receive",
                    Direction::Send => "send",
                };
                let number = transfer.number.to_string();
                let labels = [("number", number.as_str()), ("direction", direction)];
                ConstGauge::new(figure(transfer)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
