//! Wormhole transfers without a screen: started, followed with a bar or in lines, answered at a prompt.
//!
//! What came of it goes to standard output: the path, the text, the number, or JSON. All else is for people and goes
//! beside it.

use std::io::{self, BufRead, IsTerminal};
use std::time::{Duration, Instant};

use transfers::transfer::{
    Accept, Answer, Direction, Question, Request, TransferState, TransferStatus,
};
use volume::OnConflict;

use super::{Out, Outcome};
use crate::cli::transfers::{ReceiveArgs, SendArgs, TransfersCommand};
use crate::ops::transfers::{Carrier, details, ending, name, offer_line, progress, state_text};
use crate::ops::{Desk, Failure, parse_age, shown};
use crate::text;

/// Columns of a bar.
const BAR: usize = 24;
/// In lines, progress is told every so many percent.
const STEP: u64 = 10;

/// Receives.
pub(super) fn receive(
    desk: &Desk,
    args: &ReceiveArgs,
    out: &mut Out<'_>,
) -> Result<Outcome, Failure> {
    let request = desk.to_receive(args)?;
    if !args.yes && !io::stdin().is_terminal() {
        return Err(Failure::new("there is no terminal to ask on: add --yes to accept the offer"));
    }
    let carrier = desk.carrier()?;
    begin(&carrier, &request, (args.detach, args.json), out)
}

/// Sends.
pub(super) fn send(desk: &Desk, args: &SendArgs, out: &mut Out<'_>) -> Result<Outcome, Failure> {
    let request = desk.to_send(args)?;
    let carrier = desk.carrier()?;
    begin(&carrier, &request, (args.detach, args.json), out)
}

fn begin(
    carrier: &Carrier,
    request: &Request,
    (detach, json): (bool, bool),
    out: &mut Out<'_>,
) -> Result<Outcome, Failure> {
    if let Some(why) = carrier.why_own() {
        if detach {
            return Err(Failure::new(format!("there is no server to leave it to: {why}")));
        }
        told(
            out,
            &format!("{why}, so this program does the transfer itself: it ends with this program"),
        )?;
    }
    let now = carrier.start(request, None)?;
    let number = now.transfer.number;
    if detach {
        return detached(carrier, now, json, out);
    }
    if carrier.why_own().is_none() && !json {
        told(out, &format!("transfer {number}: the server does it, and goes on if this ends"))?;
    }
    let mut followed =
        Followed { carrier, json, told: None, percent: 0, has_bar: false, said: None };
    let now = carrier.follow_to_end(number, &mut |now| followed.tell(now, out))?;
    followed.end(&now, out)
}

/// Leaves it to the server. What is to be passed on is known when the code is made.
fn detached(
    carrier: &Carrier,
    mut now: TransferStatus,
    json: bool,
    out: &mut Out<'_>,
) -> Result<Outcome, Failure> {
    while now.transfer.code.is_none() && now.is_live {
        now = carrier.follow(now.transfer.number, now.change)?;
    }
    if json {
        out.json_line(&now)?;
    } else {
        match &now.transfer.command {
            Some(command) => out.line(command)?,
            None => out.line(&now.transfer.number.to_string())?,
        }
    }
    if now.transfer.state.is_over() && now.transfer.state != TransferState::Done {
        return Err(Failure::new(ending(&now)));
    }
    Ok(Outcome::Done)
}

/// A transfer that is followed.
struct Followed<'a> {
    carrier: &'a Carrier,
    json: bool,
    /// The change that was told last.
    told: Option<u64>,
    /// The percentage that was told last.
    percent: u64,
    /// Whether the line on the terminal is a bar that is written over.
    has_bar: bool,
    /// What was said of the state last.
    said: Option<String>,
}

impl Followed<'_> {
    fn tell(&mut self, now: &TransferStatus, out: &mut Out<'_>) -> Result<(), Failure> {
        let is_news = self.told.replace(now.change) != Some(now.change);
        if self.json && (is_news || self.is_step(now)) {
            out.json_line(now)?;
        }
        if let Some(question) = now.question.as_ref().filter(|_| is_news) {
            return self.ask(now, question, out);
        }
        if self.json {
            return Ok(());
        }
        match now.transfer.state {
            TransferState::Running => self.progress(now, out),
            _ if is_news => self.state(now, out),
            _ => Ok(()),
        }
    }

    /// Whether it has got on by a step.
    fn is_step(&mut self, now: &TransferStatus) -> bool {
        let percent = now.transfer.percent() / STEP * STEP;
        let is_step = percent > self.percent;
        self.percent = percent;
        is_step
    }

    /// What a new state means; once.
    fn state(&mut self, now: &TransferStatus, out: &mut Out<'_>) -> Result<(), Failure> {
        let transfer = &now.transfer;
        let said = match (transfer.state, transfer.direction, &transfer.command) {
            (TransferState::Waiting, _, Some(command)) => {
                format!("On the other computer run:\n\n    {command}\n")
            }
            (TransferState::Offered, Direction::Send, _) => {
                "the receiver is there and sees what is offered".to_owned()
            }
            (TransferState::Waiting | TransferState::Storing, direction, _) => {
                state_text(transfer.state, direction).to_owned()
            }
            _ => return Ok(()),
        };
        if self.said.as_ref() == Some(&said) {
            return Ok(());
        }
        self.end_bar(out)?;
        told(out, &said)?;
        self.said = Some(said);
        Ok(())
    }

    fn progress(&mut self, now: &TransferStatus, out: &mut Out<'_>) -> Result<(), Failure> {
        if io::stderr().is_terminal() {
            let full = usize::try_from(now.transfer.percent()).unwrap_or(0) * BAR / 100;
            let bar = format!("{}{}", "#".repeat(full), ".".repeat(BAR - full.min(BAR)));
            write!(out.errors, "\r\x1b[K[{bar}] {}", progress(now))?;
            out.errors.flush()?;
            self.has_bar = true;
            return Ok(());
        }
        if self.is_step(now) { told(out, &progress(now)) } else { Ok(()) }
    }

    fn end_bar(&mut self, out: &mut Out<'_>) -> Result<(), Failure> {
        if std::mem::take(&mut self.has_bar) {
            told(out, "")?;
        }
        Ok(())
    }

    fn ask(
        &self,
        now: &TransferStatus,
        question: &Question,
        out: &mut Out<'_>,
    ) -> Result<(), Failure> {
        told(out, &offer_line(now))?;
        if let Some(problem) = &question.problem {
            told(out, &format!("! {problem}"))?;
        }
        let after = question.free.saturating_sub(question.needed);
        told(
            out,
            &format!(
                "into {}: {} are free now, {} after that",
                shown(&question.path),
                text::bytes(question.free),
                text::bytes(after)
            ),
        )?;
        let choices = match &question.existing {
            Some(_) => {
                "It is there already. [k]eep both, [r]eplace it (it goes to the trash), or [n]o? "
            }
            None => "Receive it? [y]es or [n]o: ",
        };
        loop {
            write!(out.errors, "{choices}")?;
            out.errors.flush()?;
            let mut line = String::new();
            // The end of the input is no yes.
            io::stdin().lock().read_line(&mut line)?;
            let on_conflict = match (line.trim(), &question.existing) {
                ("y" | "yes", None) => None,
                ("k" | "keep", Some(_)) => Some(OnConflict::KeepBoth),
                ("r" | "replace", Some(_)) => Some(OnConflict::Replace),
                ("n" | "no" | "", _) => {
                    let answer = Answer::Refuse { why: String::new() };
                    return self.carrier.answer(now.transfer.number, &answer);
                }
                _ => continue,
            };
            let answer = Answer::Accept(Accept { on_conflict, ..Accept::default() });
            if let Err(failure) = self.carrier.answer(now.transfer.number, &answer) {
                // The question is asked again, and says so; or the transfer is over, and says why.
                told(out, &format!("! {}", failure.what))?;
            }
            return Ok(());
        }
    }

    fn end(mut self, now: &TransferStatus, out: &mut Out<'_>) -> Result<Outcome, Failure> {
        self.end_bar(out)?;
        for note in &now.transfer.notes {
            told(out, &format!("note: {note}"))?;
        }
        if now.transfer.state != TransferState::Done {
            return Err(Failure::new(ending(now)));
        }
        if !self.json {
            match (&now.transfer.text, &now.transfer.path) {
                (Some(text), _) => {
                    let shown = text.lines().map(|it| text::escape(it.as_bytes()));
                    for line in shown {
                        out.line(&line)?;
                    }
                }
                (None, Some(path)) => out.path("", path, "")?,
                (None, None) => told(out, "sent, and the receiver has it all")?,
            }
        }
        Ok(Outcome::Done)
    }
}

/// Lists, waits, answers, cancels, forgets.
pub(super) fn transfers(
    desk: &Desk,
    command: &TransfersCommand,
    json: bool,
    out: &mut Out<'_>,
) -> Result<Outcome, Failure> {
    let carrier = desk.carrier()?;
    if let Some((number, answer)) = desk.to_answer(command)? {
        carrier.answer(number, &answer)?;
        return Ok(Outcome::Done);
    }
    match command {
        TransfersCommand::List => {
            let all = carrier.list()?;
            if json {
                out.json(&all)?;
                return Ok(Outcome::Done);
            }
            for now in &all {
                out.line(&line(now))?;
            }
        }
        TransfersCommand::Show { number } => {
            let now = carrier.get(*number)?;
            if json {
                out.json(&now)?;
            } else {
                for line in details(&now) {
                    out.line(&line)?;
                }
            }
        }
        TransfersCommand::Wait { number, timeout } => {
            let timeout = timeout.as_deref().map(parse_age).transpose()?;
            return wait(&carrier, *number, timeout, json, out);
        }
        TransfersCommand::Cancel { number } => carrier.cancel(*number, None)?,
        TransfersCommand::Clear => carrier.forget()?,
        // Given above.
        TransfersCommand::Accept { .. } | TransfersCommand::Refuse { .. } => {}
    }
    Ok(Outcome::Done)
}

/// Waits until one is over, or all.
fn wait(
    carrier: &Carrier,
    number: Option<u64>,
    timeout: Option<Duration>,
    json: bool,
    out: &mut Out<'_>,
) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let live = |all: Vec<TransferStatus>| -> Vec<u64> {
        all.iter().filter(|it| !it.transfer.state.is_over()).map(|it| it.transfer.number).collect()
    };
    let numbers = number.map_or_else(|| carrier.list().map(live), |it| Ok(vec![it]))?;
    let mut outcome = Outcome::Done;
    for number in numbers {
        let now = carrier.follow_to_end(number, &mut |_| match timeout {
            Some(timeout) if began.elapsed() >= timeout => {
                Err(Failure::new(format!("transfer {number} is still under way")))
            }
            _ => Ok(()),
        })?;
        if json {
            out.json_line(&now)?;
        } else {
            out.line(&line(&now))?;
        }
        if now.transfer.state != TransferState::Done {
            outcome = Outcome::Partly;
        }
    }
    Ok(outcome)
}

/// A transfer as a line.
fn line(now: &TransferStatus) -> String {
    let transfer = &now.transfer;
    let arrow = match transfer.direction {
        Direction::Receive => "in ",
        Direction::Send => "out",
    };
    let what = name(transfer);
    let how = match transfer.state {
        TransferState::Running => progress(now),
        state if state.is_over() => ending(now),
        state => state_text(state, transfer.direction).to_owned(),
    };
    format!("{:>4} {arrow} {what}  {how}", transfer.number)
}

fn told(out: &mut Out<'_>, line: &str) -> Result<(), Failure> {
    Ok(writeln!(out.errors, "{line}")?)
}
