//! The screen's loop: keys and news in, frames out, and the end in good order.
//!
//! The next frame is drawn only when the last one has left and something is to be seen, so a slow or stalled line
//! costs nothing, and an idle screen sends no byte.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep_until};

use crate::cli::Cli;
use crate::effect::{Effect, Message};
use crate::model::{Look, Model, Redraw};
use crate::ops::{Desk, Failure};
use crate::term::keys::{Keys, Typed};
use crate::term::{Tty, install_panic_hook};
use crate::update::{start, update};
use crate::view::view;
use crate::work::Work;

/// How often time passes.
const TICK: Duration = Duration::from_millis(250);
/// What nobody asked for is drawn this often.
const SOON: Duration = Duration::from_secs(1);
/// Whoever draws at a window's edge changes its size many times a second: not each is drawn.
const RESIZING: Duration = Duration::from_millis(150);
/// How many messages may wait.
const INBOX: usize = 64;
/// A line that takes nothing for so long is gone, though nobody said so.
const SILENCE: Duration = Duration::from_mins(15);

/// Bytes on their way to the terminal.
#[derive(Clone, Debug, Default)]
struct Outbox(Rc<RefCell<Vec<u8>>>);

impl io::Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal as ratatui draws it.
struct Screen {
    outbox: Outbox,
    terminal: Terminal<CrosstermBackend<Outbox>>,
}

impl Screen {
    fn new((width, height): (u16, u16)) -> io::Result<Screen> {
        let outbox = Outbox::default();
        let backend = CrosstermBackend::new(outbox.clone());
        let viewport = Viewport::Fixed(Rect { x: 0, y: 0, width, height });
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport })?;
        Ok(Screen { outbox, terminal })
    }

    /// What makes the terminal show the model.
    fn draw(&mut self, model: &Model) -> io::Result<Vec<u8>> {
        self.terminal.draw(|frame| view(model, frame))?;
        Ok(std::mem::take(&mut *self.outbox.0.borrow_mut()))
    }
}

/// Runs the console until somebody ends it.
pub fn run(cli: &Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let desk = Desk::open(&cli.desk)?;
    let result = runtime.block_on(converse(cli, desk));
    // A read that waits for a slow disk is not waited for.
    runtime.shutdown_background();
    result
}

async fn converse(cli: &Cli, desk: Desk) -> Result<(), Failure> {
    // What is drawn keeps to NO_COLOR itself; crossterm would reset what is reversed with it.
    crossterm::style::force_color_output(true);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut winch = signal(SignalKind::window_change())?;
    install_panic_hook();
    let mut tty = Tty::open()?;
    let (inbox, mut messages) = mpsc::channel(INBOX);
    let kept = desk.volume.console_look().unwrap_or_default();
    let look = Look::new(&cli.screen, &kept, &|name| std::env::var(name).ok());
    let look = Look { read_only: desk.volume.is_read_only(), ..look };
    let mut model =
        Model::new(look, desk.folder.display().to_string(), tty.size(), Timestamp::now());
    let console = format!("{}-{}", std::process::id(), Timestamp::now().as_millisecond());
    tty.mouse(model.look.mouse);
    let work = Work::new(desk, console, tty.number(), inbox);
    let mut screen = Screen::new(model.size)?;
    for effect in start(&mut model) {
        work.begin(effect);
    }
    let mut keys = Keys::default();
    let (mut esc_ends, mut resize_ends): (Option<Instant>, Option<Instant>) = (None, None);
    let mut tick = interval_at(Instant::now() + TICK, TICK);
    let (mut drawn, mut taken) = (Instant::now() - SOON, Instant::now());
    while !model.is_over {
        let is_due = model.redraw >= Redraw::Now
            || (model.redraw == Redraw::Soon && drawn.elapsed() >= SOON);
        if is_due && tty.is_idle() {
            if model.redraw == Redraw::All {
                screen = Screen::new(model.size)?;
                tty.send(b"\x1b[0m\x1b[2J");
            }
            tty.send(&screen.draw(&model)?);
            model.redraw = Redraw::No;
            (drawn, taken) = (Instant::now(), Instant::now());
        }
        let is_idle = tty.is_idle();
        let message = tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = hang_up.recv() => break,
            flushed = tty.flush(), if !is_idle => {
                if flushed.is_err() {
                    break;
                }
                taken = Instant::now();
                continue;
            }
            bytes = tty.read() => {
                let Ok(bytes) = bytes else { break };
                model.now = Timestamp::now();
                let typed = keys.feed(&bytes);
                work.touched();
                esc_ends = keys.patience().map(|it| Instant::now() + it);
                perform(typed.into_iter().map(heard), &mut model, &work, &mut tty)?;
                continue;
            }
            () = sleep_until(esc_ends.unwrap_or_else(Instant::now)), if esc_ends.is_some() => {
                esc_ends = None;
                let typed = keys.flush();
                perform(typed.into_iter().map(heard), &mut model, &work, &mut tty)?;
                continue;
            }
            _ = winch.recv() => {
                resize_ends.get_or_insert_with(|| Instant::now() + RESIZING);
                continue;
            }
            () = sleep_until(resize_ends.unwrap_or_else(Instant::now)), if resize_ends.is_some() => {
                resize_ends = None;
                let (columns, rows) = tty.size();
                if (columns, rows) == model.size {
                    continue;
                }
                Message::Resized(columns, rows)
            }
            Some(message) = messages.recv() => message,
            _ = tick.tick() => {
                if !is_idle && taken.elapsed() >= SILENCE {
                    break;
                }
                Message::Tick(Timestamp::now())
            }
        };
        perform([message], &mut model, &work, &mut tty)?;
    }
    drop(tty);
    // Whoever has something to tell does not wait for a screen that is gone.
    messages.close();
    // The server learns of it, if it answers at once; and who is at the other end of a transfer that runs here.
    let patience = work.patience();
    let goodbye = tokio::task::spawn_blocking(move || work.end());
    tokio::time::timeout(patience, goodbye).await.map(drop).unwrap_or_default();
    Ok(())
}

fn heard(typed: Typed) -> Message {
    match typed {
        Typed::Key(key) => Message::Key(key),
        Typed::Pasted(text) => Message::Pasted(text),
    }
}

fn perform(
    messages: impl IntoIterator<Item = Message>,
    model: &mut Model,
    work: &Work,
    tty: &mut Tty,
) -> Result<(), Failure> {
    for message in messages {
        for effect in update(model, message) {
            match effect {
                Effect::Suspend => {
                    tty.suspend()?;
                    tty.mouse(model.look.mouse);
                    model.redraw = Redraw::All;
                }
                // OSC 52: the terminal may keep it, or not know it.
                Effect::Copy(text) => {
                    tty.send(format!("\x1b]52;c;{}\x07", STANDARD.encode(&text)).as_bytes());
                }
                Effect::Mouse(is_taken) => tty.mouse(is_taken),
                effect => work.begin(effect),
            }
        }
    }
    Ok(())
}
