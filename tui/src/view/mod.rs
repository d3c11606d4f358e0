//! The screen, drawn from the model. Decides nothing and asks nobody: what is not in the model is not shown.
//!
//! Only the rows that are seen are built. Text from outside is escaped before it comes here.

mod activity;
mod browse;
mod help;
mod keys;
mod offer;
mod paint;
mod popup;
mod receive;
mod transfers;

use ::transfers::transfer::{Question, TransferStatus};
use ratatui::Frame;
use ratatui::layout::Rect;

use crate::key::{BINDINGS, Place};
use crate::model::{BESIDE, Model, OfferForm, Popup, Screen, Server};
use crate::ops::shown;
use crate::text;

use paint::Paint;

/// Less than this can't be worked with.
const SMALLEST: (u16, u16) = (40, 10);

/// Draws all of it.
pub fn view(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut paint = Paint::new(model.look, frame);
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (columns, rows) = (area.width, area.height);
        let line = format!("60x15 or larger helps; {columns}x{rows} now.");
        return paint.put(0, 0, area.width, &line, paint.plain());
    }
    header(model, &mut paint, area);
    title(model, &mut paint, area);
    paint.rule(2, 0, area.width);
    let body = Rect { x: 0, y: 3, width: area.width, height: area.height - 6 };
    match (&model.popup, model.screen) {
        (Some(Popup::Help(it)), _) => help::draw(&mut paint, body, it, model),
        (Some(Popup::Text(it)), _) => {
            popup::lines(&mut paint, body, it.lines.iter().skip(it.top), it.column);
        }
        (Some(Popup::Pager(_, page, column)), _) => {
            popup::lines(&mut paint, body, page.lines.iter().map(|it| &it.1), *column);
        }
        (Some(Popup::Editor(it)), _) => popup::editor(&mut paint, body, it),
        (Some(Popup::Picture(_, rows)), _) => paint.picture(body, rows),
        (_, Screen::Browse) => browse::draw(model, &mut paint, body),
        (_, Screen::Receive) => match offered(model) {
            Some((now, question, form)) => {
                offer::draw(model, (now, question), form, &mut paint, body);
            }
            None => receive::draw(model, &mut paint, body),
        },
        (_, Screen::Transfers) => transfers::draw(model, &mut paint, body),
        (_, Screen::Keys) => keys::draw(model, &mut paint, body),
        (_, Screen::Activity) => activity::draw(model, &mut paint, body),
    }
    paint.rule(area.height - 3, 0, area.width);
    message(model, &mut paint, area);
    key_line(model, &mut paint, area);
    popup::draw(model, &mut paint, body);
}

/// The offer that is shown, with what is asked about it and the answer so far.
fn offered(model: &Model) -> Option<(&TransferStatus, &Question, &OfferForm)> {
    let opened = model.receive.opened.as_ref()?;
    let now = model.transfers.get(opened.number)?;
    Some((now, now.question.as_ref()?, opened.offer.as_ref()?))
}

fn header(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let screens = [
        (Screen::Browse, "1", "Browse"),
        (Screen::Receive, "2", "Receive"),
        (Screen::Transfers, "3", "Transfers"),
        (Screen::Keys, "4", "Keys"),
        (Screen::Activity, "5", "Activity"),
    ];
    let is_narrow = area.width < BESIDE;
    let mut x = 0;
    for (screen, number, name) in screens {
        let is_shown = screen == model.screen;
        let label = match (is_shown, is_narrow) {
            (true, _) => format!("[{number} {name}]"),
            (false, true) => format!(" {number} "),
            (false, false) => format!(" {number} {name} "),
        };
        let style = if is_shown { paint.bold() } else { paint.plain() };
        paint.put(x, 0, area.width, &label, style);
        x += u16::try_from(text::width(&label)).unwrap_or(0);
    }
    let Some(space) = model.space else { return badge(model, paint, area.width, x) };
    let is_low = space.is_low();
    let free = format!("{}{} free", if is_low { "! " } else { "" }, text::bytes(space.free));
    let style = if is_low { paint.error() } else { paint.plain() };
    paint.right(0, area.width, &free, style);
    let wide = u16::try_from(text::width(&free)).unwrap_or(0) + 2;
    badge(model, paint, area.width.saturating_sub(wide), x);
}

/// What transfers there are, and before that whether a server answers.
fn badge(model: &Model, paint: &mut Paint<'_, '_>, end: u16, begin: u16) {
    let room = usize::from(end.saturating_sub(begin));
    let badge = transfers::badge(model.transfers.badge(), model.look.ascii, room);
    let style = paint.bold();
    paint.right(0, end, &badge, style);
    let wide = u16::try_from(text::width(&badge)).unwrap_or(0);
    let wide = if wide > 0 { wide + 2 } else { 1 };
    away(model, paint, end.saturating_sub(wide), begin);
}

/// Since when no server answers, where there is room to say it.
fn away(model: &Model, paint: &mut Paint<'_, '_>, end: u16, begin: u16) {
    let Server::Down(since, _) = &model.activity.server else { return };
    let whole = format!("no server since {}", text::clock(*since));
    let room = usize::from(end.saturating_sub(begin));
    let line = [whole.as_str(), "no server"].into_iter().find(|it| text::width(it) < room);
    paint.right(0, end, line.unwrap_or_default(), paint.plain());
}

fn title(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let (left, right) = match (&model.popup, model.screen) {
        (Some(Popup::Help(it)), _) if it.filter.text().is_empty() => {
            (" Help".to_owned(), String::new())
        }
        (Some(Popup::Help(it)), _) => {
            (format!(" Help: what has `{}`", it.filter.text()), String::new())
        }
        (Some(Popup::Text(it)), _) => {
            (format!(" {}", it.title), format!("line {} of {} ", it.top + 1, it.lines.len()))
        }
        (Some(Popup::Pager(path, page, _)), _) => {
            let first = page.lines.first().map_or(page.end, |it| it.0);
            let of = page.len.map(|it| format!(" of {}", text::bytes(it))).unwrap_or_default();
            let end = if page.is_end { "  end" } else { "" };
            let trouble = page.trouble.as_ref().map(|it| format!("! {it}  ")).unwrap_or_default();
            let encoding = page.encoding.map(|it| format!("{it}  ")).unwrap_or_default();
            (
                format!(" {}", shown(path)),
                format!("{trouble}{encoding}from {}{of}{end} ", text::bytes(first)),
            )
        }
        (Some(Popup::Editor(it)), _) => {
            let state = if it.is_changed() { "changed  " } else { "" };
            let (row, count) = (it.row + 1, it.lines().len());
            (format!(" {}", shown(&it.path)), format!("{state}line {row} of {count} "))
        }
        (Some(Popup::Picture(path, _)), _) => (format!(" {}", shown(path)), String::new()),
        (_, Screen::Browse) => browse::title(model),
        (_, Screen::Receive) => receive::title(model),
        (_, Screen::Transfers) => transfers::title(model),
        (_, Screen::Keys) => keys::title(model),
        (_, Screen::Activity) => activity::title(model),
    };
    let room = area.width.saturating_sub(u16::try_from(text::width(&right)).unwrap_or(0) + 1);
    // Of a sentence the beginning tells most.
    if left.contains('/') {
        paint.name(0, 1, room, &left, paint.bold());
    } else {
        paint.put(0, 1, room, &left, paint.bold());
    }
    paint.right(1, area.width, &right, paint.plain());
}

fn message(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let y = area.height - 2;
    if let Some(filter) = typed_filter(model) {
        let label = format!(" / {}", filter.text());
        let before = u16::try_from(text::width(filter.before())).unwrap_or(0) + 3;
        paint.put(0, y, area.width, &label, paint.plain());
        return paint.cursor(before.min(area.width - 1), y);
    }
    if let Some(Popup::Help(it)) = &model.popup
        && it.filter.text().is_empty()
    {
        return paint.put(
            1,
            y,
            area.width - 1,
            &help::topics(usize::from(area.width) - 4),
            paint.plain(),
        );
    }
    if let Some(Popup::Editor(it)) = &model.popup
        && it.is_leaving
    {
        let line = "It is changed. s saves it, x throws the change away, any other key goes on";
        return paint.put(1, y, area.width - 1, line, paint.bold());
    }
    let mut left = Vec::new();
    left.extend(model.paging.as_ref().map(|it| format!("{it} (Esc stops)")));
    if model.screen == Screen::Browse {
        left.extend(browse::footer(model));
    }
    let offered =
        offered(model).filter(|_| model.screen == Screen::Receive && model.popup.is_none());
    left.extend(offered.map(|(_, question, form)| offer::waiting_line(model, form, question)));
    let told = model.message.as_ref();
    let undo = if model.offers_undo() { " (u undo)" } else { "" };
    left.extend(told.map(|it| {
        let mark = if it.is_error { "! " } else { "" };
        format!("{mark}{}{undo}", it.text)
    }));
    let style = if told.is_some_and(|it| it.is_error) { paint.error() } else { paint.plain() };
    paint.put(1, y, area.width - 1, &left.join("     "), style);
    if let Some((_, question, _)) = offered {
        paint.right(y, area.width, &offer::footer(model, question), paint.plain());
    }
}

fn typed_filter(model: &Model) -> Option<&crate::model::Input> {
    match &model.popup {
        Some(Popup::Help(it)) => return Some(&it.filter).filter(|_| it.is_typed),
        Some(_) => return None,
        None => {}
    }
    match model.screen {
        Screen::Browse => model.browse.filter.as_ref().filter(|it| it.is_typed).map(|it| &it.input),
        Screen::Activity => model.activity.filter.as_ref().filter(|it| it.1).map(|it| &it.0),
        Screen::Receive | Screen::Transfers | Screen::Keys => None,
    }
}

/// The keys that work now, as many as there is room for; help is always there.
fn key_line(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let y = area.height - 1;
    let labels: Vec<(String, String)> = match &model.popup {
        Some(popup) => popup::keys(popup),
        None if typed_filter(model).is_some() => {
            vec![
                ("Enter".into(), "keep".into()),
                ("Esc".into(), "all".into()),
                ("Up Down".into(), "move".into()),
            ]
        }
        None if model.browse.finding.is_some() && model.screen == Screen::Browse => {
            vec![("Enter".into(), "go there".into()), ("Esc".into(), "stop, back".into())]
        }
        None if model.browse.measuring.is_some() && model.screen == Screen::Browse => {
            vec![
                ("Enter".into(), "into".into()),
                ("h".into(), "folder above".into()),
                ("Esc".into(), "stop, back".into()),
            ]
        }
        None if let Some((.., form)) =
            offered(model).filter(|_| model.screen == Screen::Receive) =>
        {
            offer::keys(form)
        }
        None => {
            let here =
                BINDINGS.iter().filter(|it| it.place == model.place() && !it.label.is_empty());
            let first =
                here.filter_map(|it| Some(((*it.keys.first()?).to_owned(), it.label.to_owned())));
            first.chain(receive::keys(model.place())).collect()
        }
    };
    let help = if model.popup.is_some() {
        ""
    } else if model.is_receive_typed() {
        "F1 help "
    } else {
        "? help "
    };
    let room = usize::from(area.width).saturating_sub(text::width(help) + 1);
    let mut x = 1;
    for (key, label) in labels {
        let wide = text::width(&key) + 1 + text::width(&label);
        if usize::from(x) + wide > room {
            break;
        }
        let at = u16::try_from(text::width(&key)).unwrap_or(0);
        paint.put(x, y, area.width - x, &key, paint.bold());
        paint.put(x + at + 1, y, area.width - x - at - 1, &label, paint.plain());
        x += u16::try_from(wide + 2).unwrap_or(u16::MAX);
    }
    paint.right(y, area.width, help, paint.bold());
    debug_assert!(BINDINGS.iter().any(|it| it.place == Place::Everywhere), "help is one of them");
}
