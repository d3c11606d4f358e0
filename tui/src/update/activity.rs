//! The screen of what goes on.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent};

use super::browse::moved;
use crate::admin::ActivityNow;
use crate::effect::{Effect, Op};
use crate::key::Act;
use crate::model::{Input, Model, Popup, Reading, Redraw, Screen, Server};
use crate::ops::Failure;

/// How long one key keeps the server awake.
const KEPT: Duration = Duration::from_hours(2);

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
            screen.server = Server::Up;
            let transfers = was_away.then_some(Effect::AskTransfers);
            if screen.is_paused && screen.now.is_some() {
                // It holds still; the server is asked so that it knows of this console, and this of it.
                if was_away {
                    model.dirty(Redraw::Soon);
                }
                return transfers.into_iter().collect();
            }
            let before = screen.told.take().zip(screen.now.take());
            let is_another = before.as_ref().is_some_and(|(_, it)| it.since != answer.since);
            if is_another {
                // It counts anew, and was asked for what comes behind another one's count.
                screen.recent.clear();
                screen.chosen = None;
                screen.before = None;
            } else {
                screen.add(&answer.recent);
                screen.before = before;
            }
            (screen.now, screen.told) = (Some(*answer), Some(now));
            if is_shown || was_away {
                model.dirty(Redraw::Soon);
            }
            let again = is_another.then_some(Effect::AskServer(0));
            return transfers.into_iter().chain(again).collect();
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
            screen.user = match screen.user.take() {
                None => screen.wanted().nth(screen.row()).map(|it| it.who().to_owned()),
                Some(_) => None,
            };
        }
        Act::Details => {
            if let Some(request) = screen.wanted().nth(screen.row()) {
                let title = format!("Request at {}", request.time.strftime("%H:%M:%S"));
                let lines = request.details();
                model.popup = Some(Popup::Text(Reading { title, lines, ..Reading::default() }));
            }
        }
        Act::KeepAwake => {
            let is_kept = screen.now.as_ref().is_some_and(|it| it.sleep.kept_until.is_some());
            return vec![Effect::Do(Op::KeepAwake((!is_kept).then_some(KEPT)))];
        }
        Act::FilterRequests => {
            let input = screen.filter.take().map_or_else(Input::default, |it| it.0);
            screen.filter = Some((input, true));
        }
        Act::Cancel => {
            screen.filter = None;
            screen.errors_only = false;
            screen.user = None;
            screen.chosen = None;
        }
        _ => {
            let row = moved(act, screen.row(), screen.wanted().count(), page);
            // On the first row it follows what comes.
            let chosen = screen.wanted().nth(row).map(|it| it.seq);
            screen.chosen = chosen.filter(|_| row > 0);
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
            screen.chosen = None;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::ScreenArgs;
    use crate::model::Look;
    use volume::console_settings::ConsoleSettings;

    fn model() -> Model {
        let now = "2026-11-24T14:02:00Z".parse().unwrap();
        let look = Look::new(&ScreenArgs::default(), &ConsoleSettings::default(), &|_| None);
        let mut model = Model::new(look, "/data".to_owned(), (80, 24), now);
        model.screen = Screen::Activity;
        model
    }

    /// A server that began at a second tells of requests by their places in the order.
    fn tell(model: &mut Model, began: u32, recent: &[u64]) -> Vec<Effect> {
        let recent = recent.iter().map(|seq| {
            json!({"seq": seq, "time": "2026-11-24T14:02:00Z", "status": 200, "latency_micros": 1, "micros": 1, "method": "GET",
                "path": format!("/{seq}"), "sent": 0, "received": 0, "username": format!("user{}", seq % 2), "client": "::1", "complete": true})
        });
        let since = format!("2026-11-24T14:00:{began:02}Z");
        let now = json!({"since": since, "recent": recent.collect::<Vec<_>>()});
        told(model, Ok(Box::new(serde_json::from_value(now).unwrap())))
    }

    fn shown(model: &Model) -> Vec<u64> {
        model.activity.wanted().map(|it| it.seq).collect()
    }

    #[test]
    fn what_is_told_twice_is_shown_once() {
        let mut model = model();
        tell(&mut model, 1, &[0, 1]);
        tell(&mut model, 1, &[0, 1, 2]);
        assert_eq!(shown(&model), [2, 1, 0]);
        told(&mut model, Err(Failure::new("away")));
        tell(&mut model, 1, &[3]);
        assert_eq!(shown(&model), [3, 2, 1, 0], "an answer that was late costs nothing");
    }

    #[test]
    fn a_server_that_was_started_anew_is_asked_from_its_beginning() {
        let mut model = model();
        tell(&mut model, 1, &[7, 8]);
        let effects = tell(&mut model, 30, &[]);
        assert!(matches!(effects.as_slice(), [Effect::AskServer(0)]), "{effects:?}");
        tell(&mut model, 30, &[0]);
        assert_eq!(shown(&model), [0]);
    }

    #[test]
    fn the_chosen_request_stays_chosen_when_others_come() {
        let mut model = model();
        tell(&mut model, 1, &[0, 1]);
        act(&mut model, Act::Down);
        tell(&mut model, 1, &[2, 3]);
        assert_eq!(model.activity.row(), 3);
        act(&mut model, Act::ByUser);
        assert_eq!((shown(&model), model.activity.row()), (vec![2, 0], 1));
        act(&mut model, Act::Details);
        assert!(matches!(&model.popup, Some(Popup::Text(it)) if it.lines[0] == "GET /0"));
        act(&mut model, Act::ByUser);
        assert_eq!(shown(&model).len(), 4);
        act(&mut model, Act::First);
        tell(&mut model, 1, &[4]);
        assert_eq!(model.activity.row(), 0, "on the first row it follows");
    }
}
