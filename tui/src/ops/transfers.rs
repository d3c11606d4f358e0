//! Wormhole transfers: run by the server, or, where none runs, by this program itself.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use transfers::Transfers;
use transfers::transfer::{
    Accept, Answer, Direction, OfferedKind, Receive, Request, Send, Servers, Transfer,
    TransferState, TransferStatus,
};
use volume::{RelPath, Volume};
use wormhole::{HintPolicy, Settings};

use super::{Desk, Failure};
use crate::admin::Admin;
use crate::cli::transfers::{ReceiveArgs, SendArgs, TransfersCommand};
use crate::text;

/// How long a program that ends waits for good-byes.
pub const GOOD_BYE: Duration = Duration::from_secs(4);
/// Who wants what a command without a screen asks for.
const BY: &str = "the command line";
/// How long a follower waits for a change: less than the time that a server has to answer.
const FOLLOW: u64 = 1;

/// Who runs transfers.
#[derive(Debug)]
pub enum Carrier {
    /// The server, whatever becomes of this program.
    Server(Admin),
    /// This program: they end with it.
    Own(Own),
}

/// Transfers of this program.
#[derive(Debug)]
pub struct Own {
    runtime: Option<Runtime>,
    transfers: Transfers,
    volume: Arc<Volume>,
    /// Why no server runs them.
    pub why: String,
    is_ended: AtomicBool,
}

impl Desk {
    /// Whoever runs transfers now.
    pub fn carrier(&self) -> Result<Carrier, Failure> {
        let admin = Admin::new(self.admin.as_deref(), &self.volume)?;
        match admin.service() {
            Ok(_) => Ok(Carrier::Server(admin)),
            Err(failure) => Ok(Carrier::Own(Own::begin(self, failure.what)?)),
        }
    }

    /// What is asked for, to receive. A word that is in no list is told first.
    pub fn to_receive(&self, args: &ReceiveArgs) -> Result<Request, Failure> {
        if let Some(code) = args.code.as_ref().filter(|_| !args.exact) {
            check_words(code)?;
        }
        let into = args.folder.as_ref().or(args.into.as_ref()).map(AsRef::as_ref);
        Ok(Request::Receive(Receive {
            code: args.code.clone(),
            exact: args.exact,
            into: self.path(into.unwrap_or(OsStr::new("/")))?,
            on_conflict: args.on_conflict,
            yes: args.yes,
            unpack: args.unpack,
            wait: args.wait,
            servers: self.servers.clone(),
        }))
    }

    /// The answer that a command gives to an offer, and to which, if it gives one.
    pub fn to_answer(&self, command: &TransfersCommand) -> Result<Option<(u64, Answer)>, Failure> {
        match command {
            TransfersCommand::Accept { number, into, name, on_conflict, unpack } => {
                let into = into.as_deref().map(|it| self.path(it)).transpose()?;
                let accept =
                    Accept { into, name: name.clone(), on_conflict: *on_conflict, unpack: *unpack };
                Ok(Some((*number, Answer::Accept(accept))))
            }
            TransfersCommand::Refuse { number, why } => {
                Ok(Some((*number, Answer::Refuse { why: why.clone() })))
            }
            _ => Ok(None),
        }
    }

    /// What is asked for, to send.
    pub fn to_send(&self, args: &SendArgs) -> Result<Request, Failure> {
        let paths: Result<Vec<_>, _> = args.paths.iter().map(|it| self.path(it)).collect();
        Ok(Request::Send(Send {
            paths: paths?,
            text: args.text.clone(),
            code: args.code.clone(),
            servers: self.servers.clone(),
        }))
    }
}

impl Own {
    /// Ready for transfers, and with what an earlier program left behind tidied up.
    pub fn begin(desk: &Desk, why: String) -> Result<Own, Failure> {
        // One thread for what is on the way; the disk has others.
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build()?;
        let reach = if desk.local_peers { HintPolicy::Anywhere } else { HintPolicy::Others };
        let settings = Settings { reach, ..Settings::default() };
        let transfers = Transfers::new(desk.volume.clone(), settings, Servers::default());
        if !desk.volume.is_read_only() {
            runtime.block_on(transfers.recover())?;
        }
        let volume = Arc::clone(&desk.volume);
        Ok(Own { runtime: Some(runtime), transfers, volume, why, is_ended: AtomicBool::new(false) })
    }

    /// Ends all of them in good order when somebody ends this program.
    fn end_with_the_program(&self) {
        let transfers = self.transfers.clone();
        let Some(runtime) = &self.runtime else { return };
        runtime.spawn(async move {
            ended().await;
            transfers.end("stopped here", GOOD_BYE).await;
        });
    }

    /// Ends all of them in good order. Blocks, but not for long; once is enough.
    pub fn end(&self) {
        if let Some(runtime) = &self.runtime
            && !self.is_ended.swap(true, Ordering::Relaxed)
        {
            runtime.block_on(self.transfers.end("stopped here", GOOD_BYE));
        }
    }

    /// How many are under way.
    pub fn running(&self) -> usize {
        self.transfers.running()
    }

    /// Begins a transfer; `by` says who wants it.
    pub fn start(&self, request: &Request, by: &str) -> Result<TransferStatus, Failure> {
        self.ask(async {
            let number = self.transfers.start(request.clone(), by).await?;
            self.transfers.get(number).await
        })
    }

    /// All of them, the newest first.
    pub fn list(&self) -> Result<Vec<TransferStatus>, Failure> {
        if !self.has_records()? {
            return Ok(Vec::new());
        }
        self.ask(self.transfers.list())
    }

    /// One of them, now.
    pub fn get(&self, number: u64) -> Result<TransferStatus, Failure> {
        self.ask(self.transfers.get(number))
    }

    /// Answers an offer.
    pub fn answer(&self, number: u64, answer: &Answer) -> Result<(), Failure> {
        self.ask(self.transfers.answer(number, answer.clone()))
    }

    /// Cancels one; `by` says who wants that.
    pub fn cancel(&self, number: u64, by: &str) -> Result<(), Failure> {
        self.ask(self.transfers.cancel(number, by))
    }

    /// Forgets those that are over.
    pub fn forget(&self) -> Result<(), Failure> {
        self.ask(self.transfers.forget()).map(drop)
    }

    /// Where nothing may be made, not even a place for the records is.
    fn has_records(&self) -> Result<bool, Failure> {
        Ok(!self.volume.is_read_only() || self.volume.has_transfer_records()?)
    }

    fn ask<T>(
        &self,
        wait: impl Future<Output = Result<T, transfers::Refused>>,
    ) -> Result<T, Failure> {
        match &self.runtime {
            Some(runtime) => Ok(runtime.block_on(wait)?),
            None => Err(Failure::new("this program ends")),
        }
    }
}

/// Done when a signal asks this program to end.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.end();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Carrier {
    /// Begins a transfer. `console`: who wants it.
    pub fn start(
        &self,
        request: &Request,
        console: Option<&str>,
    ) -> Result<TransferStatus, Failure> {
        match self {
            Carrier::Server(admin) => admin.start_transfer(request, console),
            Carrier::Own(own) => own.start(request, BY),
        }
    }

    /// All of them, the newest first.
    pub fn list(&self) -> Result<Vec<TransferStatus>, Failure> {
        match self {
            Carrier::Server(admin) => admin.transfers(),
            Carrier::Own(own) => own.list(),
        }
    }

    /// One of them, as soon as it has changed since a change was told, or after a second.
    pub fn follow(&self, number: u64, change: u64) -> Result<TransferStatus, Failure> {
        match self {
            Carrier::Server(admin) => admin.follow_transfer(number, change, FOLLOW),
            Carrier::Own(own) => {
                own.ask(own.transfers.follow(number, change, Duration::from_secs(FOLLOW)))
            }
        }
    }

    /// One of them, now.
    pub fn get(&self, number: u64) -> Result<TransferStatus, Failure> {
        match self {
            Carrier::Server(admin) => admin.follow_transfer(number, u64::MAX, 0),
            Carrier::Own(own) => own.get(number),
        }
    }

    /// Follows one to its end, and tells how it stands each time it has changed, and each second.
    pub fn follow_to_end(
        &self,
        number: u64,
        tell: &mut dyn FnMut(&TransferStatus) -> Result<(), Failure>,
    ) -> Result<TransferStatus, Failure> {
        if let Carrier::Own(own) = self {
            own.end_with_the_program();
        }
        let mut now = self.get(number)?;
        loop {
            tell(&now)?;
            if now.transfer.state.is_over() {
                return Ok(now);
            }
            if !now.is_live {
                let what = "another program runs it, and the server does not: look again later";
                return Err(Failure::new(what));
            }
            now = self.follow(number, now.change)?;
        }
    }

    /// Answers an offer.
    pub fn answer(&self, number: u64, answer: &Answer) -> Result<(), Failure> {
        match self {
            Carrier::Server(admin) => admin.answer_transfer(number, answer),
            Carrier::Own(own) => own.answer(number, answer),
        }
    }

    /// Cancels one.
    pub fn cancel(&self, number: u64, console: Option<&str>) -> Result<(), Failure> {
        match self {
            Carrier::Server(admin) => admin.cancel_transfer(number, console),
            Carrier::Own(own) => own.cancel(number, BY),
        }
    }

    /// Forgets those that are over.
    pub fn forget(&self) -> Result<(), Failure> {
        match self {
            Carrier::Server(admin) => admin.forget_transfers(),
            Carrier::Own(own) => own.forget(),
        }
    }

    /// Why this program runs them itself, where it does.
    pub fn why_own(&self) -> Option<&str> {
        match self {
            Carrier::Server(_) => None,
            Carrier::Own(own) => Some(&own.why),
        }
    }
}

/// What became of a transfer, in a sentence.
pub fn ending(now: &TransferStatus) -> String {
    let transfer = &now.transfer;
    // A stranger may have had a part in it.
    let cause = text::escape(transfer.cause.as_deref().unwrap_or_default().as_bytes());
    match transfer.state {
        TransferState::Done => match &transfer.path {
            Some(path) => format!("received {}", super::shown(path)),
            None if transfer.text.is_some() => "received a text".to_owned(),
            None => "sent".to_owned(),
        },
        TransferState::Refused => format!("refused: {cause}"),
        TransferState::Interrupted => format!("interrupted: {cause}"),
        TransferState::Cancelled | TransferState::Failed => cause,
        _ => "under way".to_owned(),
    }
}

/// What a transfer is called: what is offered, or its code as long as nobody knows.
pub fn name(transfer: &Transfer) -> String {
    let path = |it: &RelPath| super::shown(it);
    match (&transfer.offer, transfer.direction) {
        (_, Direction::Send) if !transfer.paths.is_empty() => {
            let first = transfer.paths.first().map(path).unwrap_or_default();
            match transfer.paths.len() {
                1 => first,
                many => format!("{first} and {} more", many - 1),
            }
        }
        (Some(offer), _) => match offer.kind {
            OfferedKind::Text => "a text".to_owned(),
            OfferedKind::File => text::escape(offer.name.as_bytes()),
            OfferedKind::Directory => format!("{}/", text::escape(offer.name.as_bytes())),
        },
        (None, _) => {
            let code = transfer.code.as_ref().map(|it| text::escape(it.as_bytes()));
            code.unwrap_or_else(|| "a new code".to_owned())
        }
    }
}

/// What is offered, in a line.
pub fn offer_line(now: &TransferStatus) -> String {
    let Some(offer) = &now.transfer.offer else { return String::new() };
    let name = name(&now.transfer);
    match offer.kind {
        OfferedKind::Directory => format!(
            "The other side offers {name}: a folder, {}, {} to download, {} unpacked",
            text::things(offer.files, "file", "files"),
            text::bytes(offer.size),
            text::bytes(offer.unpacked)
        ),
        _ => format!("The other side offers {name}: a file of {}", text::bytes(offer.size)),
    }
}

/// How far it is: bytes, rate, time left, route; and for how long nothing has moved.
pub fn progress(now: &TransferStatus) -> String {
    let transfer = &now.transfer;
    let total = transfer.total();
    let mut parts = vec![
        format!("{} %", transfer.percent()),
        format!("{} of {}", text::bytes(transfer.done), text::bytes(total)),
    ];
    match (now.rate, silence(now)) {
        (_, Some(length)) => parts.push(format!("nothing has moved for {length}")),
        (Some(rate), None) => {
            parts.push(format!("{}/s", text::bytes(rate)));
            if let Some(left) = total.saturating_sub(transfer.done).checked_div(rate) {
                parts.push(format!("{} left", text::duration(Duration::from_secs(left))));
            }
        }
        (None, None) => {}
    }
    if let Some(route) = &transfer.route {
        let short = route.split(' ').next().unwrap_or(route);
        parts.push(short.to_owned());
    }
    parts.join("   ")
}

/// For how long nothing has come or gone, where that is worth telling.
pub fn silence(now: &TransferStatus) -> Option<String> {
    /// Seconds after which a silence is told.
    const SILENCE: u64 = 10;
    let seconds = now.quiet_seconds.filter(|it| *it >= SILENCE)?;
    Some(text::duration(Duration::from_secs(seconds)))
}

/// A state in words.
pub fn state_text(state: TransferState, direction: Direction) -> &'static str {
    match (state, direction) {
        (TransferState::Connecting, _) => "connecting",
        (TransferState::Waiting, Direction::Receive) => "waiting for the sender",
        (TransferState::Waiting, Direction::Send) => "waiting for the receiver",
        (TransferState::Offered, Direction::Receive) => "waiting for your answer",
        (TransferState::Offered, Direction::Send) => "waiting for their answer",
        (TransferState::Linking, _) => "looking for a way to the other side",
        (TransferState::Running, _) => "under way",
        (TransferState::Storing, Direction::Receive) => "checking and storing",
        (TransferState::Storing, Direction::Send) => "waiting for the receiver's word",
        (TransferState::Done, _) => "done",
        (TransferState::Refused, _) => "refused",
        (TransferState::Cancelled, _) => "cancelled",
        (TransferState::Failed, _) => "failed",
        (TransferState::Interrupted, _) => "interrupted",
    }
}

/// What is to be done next, if it did not end well.
pub fn next_step(transfer: &Transfer) -> Option<&'static str> {
    match (transfer.state, transfer.direction) {
        (TransferState::Interrupted | TransferState::Failed, Direction::Receive)
            if transfer.done > 0 =>
        {
            Some(
                "Wormhole cannot resume: what had come was removed. Ask for a new `wormhole send`.",
            )
        }
        (
            TransferState::Interrupted | TransferState::Failed | TransferState::Cancelled,
            Direction::Receive,
        ) => Some("Nothing has come. Ask for a new `wormhole send`, and receive again."),
        (
            TransferState::Interrupted
            | TransferState::Failed
            | TransferState::Cancelled
            | TransferState::Refused,
            Direction::Send,
        ) => Some("Send it again: the receiver gets a new code."),
        _ => None,
    }
}

/// All that is known of it, in lines.
pub fn details(now: &TransferStatus) -> Vec<String> {
    let transfer = &now.transfer;
    let mut lines = vec![format!(
        "{:9} {}, {}",
        "what",
        name(transfer),
        state_text(transfer.state, transfer.direction)
    )];
    let mut line = |label: &str, text: String| lines.push(format!("{label:9} {text}"));
    if let Some(cause) = &transfer.cause {
        line("why", text::escape(cause.as_bytes()));
    }
    if let Some(next) = next_step(transfer) {
        line("next", next.to_owned());
    }
    if let Some(offer) = &transfer.offer {
        let files = text::things(offer.files, "file", "files");
        line(
            "size",
            format!(
                "{files}, {} to transfer, {} unpacked",
                text::bytes(offer.size),
                text::bytes(offer.unpacked)
            ),
        );
    }
    if transfer.state == TransferState::Running {
        line("progress", progress(now));
    }
    if let Some(path) = &transfer.path {
        line("place", super::shown(path));
    } else if let Some(into) = &transfer.into {
        line("into", super::shown(into));
    }
    if let Some(code) = &transfer.code {
        line("code", text::escape(code.as_bytes()));
    }
    if let Some(command) = transfer.command.as_ref().filter(|_| !transfer.state.is_over()) {
        line("to type", command.clone());
    }
    if let Some(route) = &transfer.route {
        line("route", text::escape(route.as_bytes()));
    }
    if let Some(verifier) = &transfer.verifier {
        line("verifier", verifier.clone());
    }
    line(
        "began",
        format!(
            "{} by {}",
            transfer.started.strftime("%Y-%m-%d %H:%M:%S UTC"),
            transfer.started_by
        ),
    );
    if let Some(ended) = transfer.ended {
        let took = ended.duration_since(transfer.started).unsigned_abs();
        line("took", text::duration(took));
    }
    for note in &transfer.notes {
        line("note", text::escape(note.as_bytes()));
    }
    if let Some(text) = &transfer.text {
        for it in text.lines() {
            line("text", text::escape(it.as_bytes()));
        }
    }
    lines
}

/// Refuses a code with a word that is in no word list: most likely it is mistyped, and a try would use the code up.
pub fn check_words(code: &str) -> Result<(), Failure> {
    let unknown = wormhole::wordlist::check(code);
    let Some(first) = unknown.first() else { return Ok(()) };
    let meant = first.nearest.map(|it| format!(": {it}?")).unwrap_or_default();
    Err(Failure::new(format!(
        "'{}' is not in the word list{meant} A code works once, so look at it again; if it is right, add --exact",
        text::escape(first.word.as_bytes())
    )))
}
