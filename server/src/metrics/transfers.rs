//! Wormhole transfers: number, outcomes, bytes, and the progress of those in flight.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;
use transfers::Transfers;
use transfers::transfer::{Direction, Transfer};

use super::encoder::Encoder;

/// A metric of a transfer: its name, its help text, and its value.
type Figure = (&'static str, &'static str, fn(&Transfer) -> u64);

#[derive(Debug)]
pub(super) struct OfTransfers(pub(super) Transfers);

impl Collector for OfTransfers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let totals = self.0.totals();
        let mut sheet = Encoder(encoder);
        sheet.gauge("transfers_running", "Wormhole transfers under way", None, totals.running)?;
        let ended =
            [("done", totals.done), ("failed", totals.failed), ("not_wanted", totals.not_wanted)];
        let help = "Finished wormhole transfers";
        sheet.counters("transfers_ended", help, None, labelled("outcome", ended))?;
        let bytes = [("receive", totals.received), ("send", totals.sent)];
        let help = "Bytes that wormhole transfers have moved";
        sheet.counters("transfer", help, Some(&Unit::Bytes), labelled("direction", bytes))?;
        self.progress(&mut sheet)
    }
}

impl OfTransfers {
    /// The metrics of each transfer in flight.
    fn progress(&self, sheet: &mut Encoder<'_>) -> Result<(), fmt::Error> {
        let live = self.0.under_way();
        let figures: [Figure; 2] = [
            ("transfer_moved", "Bytes that a transfer under way has moved", |it| it.done),
            ("transfer_size", "Bytes that a transfer under way has in all", |it| it.total()),
        ];
        for (name, help, figure) in figures {
            let values = live.iter().map(|transfer| {
                let direction = match transfer.direction {
                    Direction::Receive => "receive",
                    Direction::Send => "send",
                };
                let number = transfer.number.to_string();
                let labels = vec![("number", number), ("direction", direction.to_owned())];
                (labels, figure(transfer))
            });
            sheet.gauges(name, help, Some(&Unit::Bytes), values)?;
        }
        Ok(())
    }
}

fn labelled<const N: usize>(
    label: &'static str,
    values: [(&'static str, u64); N],
) -> [([(&'static str, &'static str); 1], u64); N] {
    values.map(|(thing, value)| ([(label, thing)], value))
}
