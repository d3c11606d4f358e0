//! The context that all transfers share.

use std::sync::Arc;

use volume::Volume;
use wormhole::Settings;

use crate::preflight::SpaceReservations;

/// The volume, servers and reservations of a transfer.
#[derive(Clone, Debug)]
pub(crate) struct TransferContext {
    pub(crate) volume: Arc<Volume>,
    pub(crate) settings: Settings,
    pub(crate) outstanding: SpaceReservations,
}

/// The options with which the Python client uses these servers.
pub(crate) fn options(settings: &Settings) -> String {
    let public = Settings::default();
    let mailbox =
        (settings.mailbox != public.mailbox).then(|| format!("--relay-url {} ", settings.mailbox));
    let relay = settings.relays.first().filter(|_| settings.relays != public.relays);
    let relay = relay.map(|it| format!("--transit-helper {it} "));
    mailbox.into_iter().chain(relay).collect()
}
