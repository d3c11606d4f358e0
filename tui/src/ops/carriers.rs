//! Who runs transfers while a console is open: the server where one answers, and where none does, the console itself.
//!
//! Both may run some at once, when a server is started or stopped meanwhile. Each transfer is answered and cancelled
//! where it runs. The console's own begin with the first that is wanted and end with the console.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use transfers::transfer::{Answer, Request, TransferStatus};

use super::transfers::Own;
use super::{Desk, Failure};
use crate::admin::{Admin, Away};

/// Who wants it, in the record of a transfer that a console runs itself.
const BY: &str = "a console";

/// All transfers, and who runs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The newest first.
    pub all: Vec<TransferStatus>,
    /// Numbers of those that this console runs: they end with it.
    pub here: BTreeSet<u64>,
    /// Why no server runs new ones, where none does.
    pub no_server: Option<String>,
}

/// Who runs transfers while a console is open.
#[derive(Debug)]
pub struct Carriers {
    desk: Arc<Desk>,
    admin: Option<Admin>,
    /// Which console asks.
    console: String,
    /// Locked for longer only while they are made.
    own: Mutex<Option<Arc<Own>>>,
}

impl Carriers {
    /// For a console. Nothing is begun yet.
    pub fn new(desk: Arc<Desk>, admin: Option<Admin>, console: String) -> Carriers {
        Carriers { desk, admin, console, own: Mutex::default() }
    }

    /// Begins a transfer.
    pub fn start(&self, request: &Request) -> Result<TransferStatus, Failure> {
        match self.server()? {
            Ok(admin) => admin.start_transfer(request, Some(&self.console)),
            Err(why) => self.make_own(why)?.start(request, BY),
        }
    }

    /// All of them.
    pub fn list(&self) -> Result<Carried, Failure> {
        let (mut all, no_server) = match self.server()? {
            Ok(admin) => (admin.transfers()?, None),
            Err(why) => (self.make_own(why.clone())?.list()?, Some(why)),
        };
        let Some(own) = self.own() else {
            return Ok(Carried { all, no_server, ..Carried::default() });
        };
        let mut here = BTreeSet::new();
        let ours = if own.running() > 0 { own.list()? } else { Vec::new() };
        for now in ours.into_iter().filter(|it| it.is_live) {
            let number = now.transfer.number;
            here.insert(number);
            // The server knows only the record of what it does not run.
            match all.iter_mut().find(|it| it.transfer.number == number) {
                Some(place) => *place = now,
                None => all.push(now),
            }
        }
        all.sort_by_key(|it| std::cmp::Reverse(it.transfer.number));
        Ok(Carried { all, here, no_server })
    }

    /// One of them.
    pub fn get(&self, number: u64) -> Result<TransferStatus, Failure> {
        let found = self.list()?.all.into_iter().find(|it| it.transfer.number == number);
        found.ok_or_else(|| Failure::new(format!("there is no transfer {number}")))
    }

    /// Answers an offer.
    pub fn answer(&self, number: u64, answer: &Answer) -> Result<(), Failure> {
        match self.own_of(number) {
            Some(own) => own.answer(number, answer),
            None => self.asked()?.answer_transfer(number, answer),
        }
    }

    /// Cancels one.
    pub fn cancel(&self, number: u64) -> Result<(), Failure> {
        match self.own_of(number) {
            Some(own) => own.cancel(number, BY),
            None => self.asked()?.cancel_transfer(number, Some(&self.console)),
        }
    }

    /// Forgets those that are over.
    pub fn forget(&self) -> Result<(), Failure> {
        match self.server()? {
            Ok(admin) => admin.forget_transfers(),
            Err(why) => self.make_own(why)?.forget(),
        }
    }

    /// How many this console runs itself. Never waits.
    pub fn running_here(&self) -> usize {
        let own = match self.own.try_lock() {
            Ok(own) => own.clone(),
            Err(TryLockError::Poisoned(own)) => own.into_inner().clone(),
            // They are being made: none runs yet.
            Err(TryLockError::WouldBlock) => None,
        };
        own.map_or(0, |it| it.running())
    }

    /// Ends those that this console runs, in good order. Waits no longer than good-byes may take.
    pub fn end(&self) {
        if let Some(own) = self.own() {
            own.end();
        }
    }

    /// The server, or why there is none. One that is there and does not answer is a failure: nobody takes its place.
    fn server(&self) -> Result<Result<&Admin, String>, Failure> {
        let Some(admin) = &self.admin else {
            return Ok(Err("the volume's own place is not known".to_owned()));
        };
        match admin.away() {
            None => Ok(Ok(admin)),
            Some(away @ Away::Failed(..)) => Err(away.into()),
            Some(away) => Ok(Err(away.to_string())),
        }
    }

    fn asked(&self) -> Result<&Admin, Failure> {
        self.server()?.map_err(Failure::new)
    }

    fn own(&self) -> Option<Arc<Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This console's own, if it runs that transfer.
    fn own_of(&self, number: u64) -> Option<Arc<Own>> {
        self.own().filter(|own| own.get(number).is_ok_and(|it| it.is_live))
    }

    fn make_own(&self, why: String) -> Result<Arc<Own>, Failure> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = &*own {
            return Ok(Arc::clone(own));
        }
        let made = Arc::new(Own::begin(&self.desk, why)?);
        *own = Some(Arc::clone(&made));
        Ok(made)
    }
}
