//! How many may come at once: in all, and from one address.
//!
//! Each connection takes a socket and a file, and each request that is under way takes memory; both end somewhere. Whoever
//! comes when there is no place is told so (503), rather than let wait or dropped, as long as there is room even for that.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::net::client_address::neighbourhood;
use crate::sync::lock;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// In all.
    pub all: usize,
    /// From one address. One that stands for this very machine may have all.
    pub of_one: usize,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits { all: 10_000, of_one: 1_000 }
    }
}

/// Those who are here.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    limits: ConnectionLimits,
    /// Locked for a look and an addition.
    places: Mutex<InUse>,
}

#[derive(Debug, Default)]
struct InUse {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Permit {
    crowd: Arc<ConcurrencyLimit>,
    address: Option<IpAddr>,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// For anyone.
    ForAll,
    /// For this address.
    ForOne,
}

impl ConcurrencyLimit {
    /// Nobody yet.
    pub fn new(limits: ConnectionLimits) -> Arc<ConcurrencyLimit> {
        Arc::new(ConcurrencyLimit { limits, places: Mutex::default() })
    }

    /// Takes a place for someone, from an address if that says anything.
    pub fn enter(
        self: &Arc<ConcurrencyLimit>,
        address: Option<IpAddr>,
    ) -> Result<Permit, LimitReached> {
        let address = address.map(neighbourhood).filter(|it| !it.is_loopback());
        let mut places = lock(&self.places);
        if places.all >= self.limits.all {
            return Err(LimitReached::ForAll);
        }
        if let Some(address) = address {
            let of_one = places.of.entry(address).or_default();
            if *of_one >= self.limits.of_one {
                return Err(LimitReached::ForOne);
            }
            *of_one += 1;
        }
        places.all += 1;
        drop(places);
        Ok(Permit { crowd: Arc::clone(self), address })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut places = lock(&self.crowd.places);
        places.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(of_one) = places.of.get_mut(&address) {
            *of_one -= 1;
            if *of_one == 0 {
                places.of.remove(&address);
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
        let crowd = ConcurrencyLimit::new(ConnectionLimits { all: 4, of_one: 2 });
        let enter = |text| crowd.enter(address(text));
        let first = enter("192.0.2.1").unwrap();
        let second = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), LimitReached::ForOne);
        // One house is one client.
        let (_third, fourth) = (enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap());
        assert_eq!(enter("192.0.2.7").unwrap_err(), LimitReached::ForAll);
        drop((first, fourth));
        let _first = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), LimitReached::ForOne);
        drop(second);
        drop(enter("192.0.2.1").unwrap());
        let here: Vec<Permit> = (0..2).map(|_| enter("127.0.0.1").unwrap()).collect();
        assert_eq!(crowd.enter(None).unwrap_err(), LimitReached::ForAll);
        drop(here);
        drop(crowd.enter(None).unwrap());
    }
}
