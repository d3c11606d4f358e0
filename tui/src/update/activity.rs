//! The screen of what goes on.

use crossterm::event::{KeyCode, KeyEvent};

use super::browse::moved;
use crate::admin::ActivityNow;
use crate::effect::Effect;
use crate::key::Act;
use crate::model::{Input, Model, Redraw, Screen, Server};
use crate::ops::Failure;

/// The server answered, or did not.
pub(super) fn told(model: &mut Model, result: Result<Box<ActivityNow>, Failure>) -> Vec<Effect> {
    let now = model.now;
    let is_shown = model.screen == Screen::Activity;
    let screen = &mut model.activity;
    match result {
        Err(failure) => {
            let since = match &screen.server {
                Server::Down(since, _) => *since,
                Server::Up | Server::Unknown => now,
            };
            let is_news = !matches!(screen.server, Server::Down(..));
            screen.server = Server::Down(since, failure.what);
            if is_news {
                model.dirty(Redraw::Soon);
            }
        }
        Ok(answer) => {
            let was_away = screen.server != Server::Up;
            if was_away {
                // Another one may have begun to count anew.
                screen.recent.clear();
            }
            screen.server = Server::Up;
            screen.add(&answer.recent);
            screen.before = screen.told.take().zip(screen.now.take());
            (screen.now, screen.told) = (Some(*answer), Some(now));
            if is_shown || was_away {
                model.dirty(Redraw::Soon);
            }
        }
    }
    Vec::new()
}

/// Does what a key means here.
pub(super) fn act(model: &mut Model, act: Act) -> Vec<Effect> {
    let page = model.list_rows();
    let screen = &mut model.activity;
    match act {
        Act::Follow => screen.is_paused = !screen.is_paused,
        Act::ErrorsOnly => screen.errors_only = !screen.errors_only,
        Act::ByUser => {
            let input = screen.filter.take().map_or_else(Input::default, |it| it.0);
            screen.filter = Some((input, true));
        }
        Act::Cancel => {
            screen.filter = None;
            screen.errors_only = false;
            screen.top = 0;
        }
        _ => {
            let count = screen.wanted().count();
            screen.top = moved(act, screen.top, count, page);
        }
    }
    Vec::new()
}

/// Letters of a filter.
pub(super) fn typed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let screen = &mut model.activity;
    match key.code {
        KeyCode::Esc => screen.filter = None,
        KeyCode::Enter => screen.filter = screen.filter.take().map(|it| (it.0, false)),
        _ => {
            if let Some((input, _)) = &mut screen.filter {
                input.key(key);
            }
            screen.top = 0;
        }
    }
    Vec::new()
}
