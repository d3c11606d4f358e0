//! Wormhole transfers, as the server runs them.

use serde::de::IgnoredAny;
use transfers::transfer::{Answer, Request, TransferStatus};

use super::Admin;
use crate::ops::Failure;

impl Admin {
    /// All of them, the newest first.
    pub fn transfers(&self) -> Result<Vec<TransferStatus>, Failure> {
        self.call("GET", "/transfers", None::<&()>)
    }

    /// Begins one.
    pub fn start_transfer(
        &self,
        request: &Request,
        console: Option<&str>,
    ) -> Result<TransferStatus, Failure> {
        self.call("POST", &format!("/transfers{}", who(console)), Some(request))
    }

    /// One of them, as soon as it has changed since a change was told, or after so many seconds. No more than the
    /// time that a server has to answer.
    pub fn follow_transfer(
        &self,
        number: u64,
        change: u64,
        seconds: u64,
    ) -> Result<TransferStatus, Failure> {
        self.call(
            "GET",
            &format!("/transfers/{number}?change={change}&wait={seconds}"),
            None::<&()>,
        )
    }

    /// Answers an offer.
    pub fn answer_transfer(&self, number: u64, answer: &Answer) -> Result<(), Failure> {
        self.call::<IgnoredAny>("POST", &format!("/transfers/{number}/answer"), Some(answer))?;
        Ok(())
    }

    /// Cancels one.
    pub fn cancel_transfer(&self, number: u64, console: Option<&str>) -> Result<(), Failure> {
        let target = format!("/transfers/{number}{}", who(console));
        self.call::<IgnoredAny>("DELETE", &target, None::<&()>)?;
        Ok(())
    }

    /// Forgets those that are over.
    pub fn forget_transfers(&self) -> Result<(), Failure> {
        self.call::<IgnoredAny>("DELETE", "/transfers", None::<&()>)?;
        Ok(())
    }
}

fn who(console: Option<&str>) -> String {
    console.map(|it| format!("?console={it}")).unwrap_or_default()
}
