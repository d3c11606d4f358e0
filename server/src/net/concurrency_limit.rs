//! Concurrency limits for connections and requests: in total, and per client address.
//!
//! Every connection takes a socket and a file descriptor, and every request in flight takes memory. At the limit, new ones get 503 instead
//! of waiting or being dropped, as long as there is room even for that response.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::net::client_address::client_network;
use crate::sync::lock;

/// The most connections, or requests, at the same time.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// In total.
    pub total: usize,
    /// Per client address (IPv6: per /64). Loopback addresses count toward the total only.
    pub per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits { total: 10_000, per_address: 1_000 }
    }
}

/// A semaphore with a total and a limit per client address.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    limits: ConnectionLimits,
    /// Locked only to compare and count.
    in_use: Mutex<InUse>,
}

#[derive(Debug, Default)]
struct InUse {
    total: usize,
    of: HashMap<IpAddr, usize>,
}

/// Counts as one in use until it is dropped.
#[derive(Debug)]
pub struct Permit {
    limit: Arc<ConcurrencyLimit>,
    address: Option<IpAddr>,
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// The total.
    Total,
    /// That of this address.
    PerAddress,
}

impl ConcurrencyLimit {
    /// With nothing in use.
    pub fn new(limits: ConnectionLimits) -> Arc<ConcurrencyLimit> {
        Arc::new(ConcurrencyLimit { limits, in_use: Mutex::default() })
    }

    /// Takes a permit for an address. Without an address it counts toward the total only.
    pub fn acquire(
        self: &Arc<ConcurrencyLimit>,
        address: Option<IpAddr>,
    ) -> Result<Permit, LimitReached> {
        let address = address.map(client_network).filter(|it| !it.is_loopback());
        let mut in_use = lock(&self.in_use);
        if in_use.total >= self.limits.total {
            return Err(LimitReached::Total);
        }
        if let Some(address) = address {
            let per_address = in_use.of.entry(address).or_default();
            if *per_address >= self.limits.per_address {
                return Err(LimitReached::PerAddress);
            }
            *per_address += 1;
        }
        in_use.total += 1;
        drop(in_use);
        Ok(Permit { limit: Arc::clone(self), address })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut in_use = lock(&self.limit.in_use);
        in_use.total -= 1;
        let Some(address) = self.address else { return };
        if let Some(per_address) = in_use.of.get_mut(&address) {
            *per_address -= 1;
            if *per_address == 0 {
                in_use.of.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_leaves_a_place() {
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let limit = ConcurrencyLimit::new(ConnectionLimits { total: 4, per_address: 2 });
        let enter = |text| limit.acquire(address(text));
        let first = enter("192.0.2.1").unwrap();
        let second = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), LimitReached::PerAddress);
        // Addresses in the same IPv6 /64 are one client.
        let (_third, fourth) = (enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap());
        assert_eq!(enter("192.0.2.7").unwrap_err(), LimitReached::Total);
        drop((first, fourth));
        let _first = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), LimitReached::PerAddress);
        drop(second);
        drop(enter("192.0.2.1").unwrap());
        let here: Vec<Permit> = (0..2).map(|_| enter("127.0.0.1").unwrap()).collect();
        assert_eq!(limit.acquire(None).unwrap_err(), LimitReached::Total);
        drop(here);
        drop(limit.acquire(None).unwrap());
    }
}
