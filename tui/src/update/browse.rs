//! The screen of files.

use std::collections::BTreeSet;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};
use volume::RelPath;
use volume::names::Kind;

use super::{below, open, transfers};
use crate::cli::Sort;
use crate::effect::{AddressFor, Effect, Message, Op};
use crate::key::{self, Act, Place};
use crate::model::{
    Above, Filter, Form, Input, Menu, Model, Order, Popup, Purpose, Reading, Redraw, Secret,
    scrolled,
};
use crate::ops::files::suffix;
use crate::ops::share::{Access, NO_HOST};
use crate::ops::{shown, with_slash};
use crate::preview::Body;
use crate::text;

/// Reads the folder anew.
pub(super) fn read(model: &mut Model) -> Vec<Effect> {
    let browse = &mut model.browse;
    browse.generation += 1;
    browse.info = None;
    if let Some(above) = &mut model.above {
        above.is_old = true;
    }
    vec![Effect::List(browse.generation, browse.path.clone())]
}

/// Reads the folder anew and keeps the cursor where it is.
pub(super) fn read_again(model: &mut Model) -> Vec<Effect> {
    let browse = &mut model.browse;
    browse.go_to = browse.go_to.take().or_else(|| browse.current().map(|it| it.bytes.to_vec()));
    read(model)
}

/// Goes to a folder, with the cursor on a name if one is given.
pub(super) fn go(model: &mut Model, path: RelPath, go_to: Option<Vec<u8>>) -> Vec<Effect> {
    let browse = &mut model.browse;
    let generation = browse.generation;
    let (sort, job) = (browse.sort, browse.job.take());
    *browse = crate::model::Browse { path, sort, generation, go_to, job, ..Default::default() };
    let mut effects = vec![Effect::Stop];
    effects.extend(read(model));
    effects
}

/// Looks up sizes and counts of what is shown, and then the rest.
pub(super) fn look_up_visible(model: &Model) -> Vec<Effect> {
    let browse = &model.browse;
    let Some(names) = &browse.names else { return Vec::new() };
    let rows = browse.top..browse.top + model.list_rows();
    let visible: Vec<usize> = rows.filter_map(|it| browse.index(it)).collect();
    let unknown = |it: &&usize| browse.stats.get(**it).is_some_and(Option::is_none);
    let mut effects = Vec::new();
    let wanted: Vec<usize> = visible.iter().filter(unknown).copied().collect();
    if !wanted.is_empty() {
        effects.push(Effect::Stat(browse.generation, Arc::clone(names), wanted));
    }
    let is_folder = |it: &&usize| names.get(**it).is_some_and(|it| it.kind == Kind::Folder);
    let uncounted = visible.iter().filter(is_folder).filter(|it| !browse.counts.contains_key(it));
    let folders: Vec<_> = uncounted.filter_map(|it| Some((*it, browse.path_of(*it)?))).collect();
    if !folders.is_empty() {
        effects.push(Effect::Count(browse.generation, folders));
    }
    effects
}

/// Looks into the file under the cursor, if that is another one than before.
pub(super) fn look_into(model: &mut Model) -> Option<Effect> {
    let is_shown = model.shows_preview();
    let browse = &mut model.browse;
    let file = browse.current().filter(|it| it.kind == Kind::File);
    let wanted = file.and_then(|it| browse.path.join(it.bytes).ok());
    // The same file may have changed: what was seen of it stays until it is seen anew.
    if wanted != browse.previewed {
        (browse.preview, browse.previewed) = (None, None);
    }
    if wanted == browse.looking || !is_shown {
        return None;
    }
    if browse.preview.is_none() {
        browse.column = 0;
    }
    browse.looking.clone_from(&wanted);
    wanted.map(Effect::Preview)
}

/// Reads the folder above, if that is another one than before.
pub(super) fn look_above(model: &mut Model) -> Option<Effect> {
    let path = model.wants_above()?;
    match model.above.as_mut().filter(|it| it.path == path) {
        Some(above) if !above.is_old => return None,
        // It stays to be seen until it is read anew.
        Some(above) => above.is_old = false,
        None => {
            let path = path.clone();
            model.above = Some(Above { path, names: None, folders: 0, is_old: false });
        }
    }
    Some(Effect::ListAbove(path))
}

/// News of the files.
pub(super) fn heard(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Listed(generation, result) if generation == model.browse.generation => {
            model.dirty(Redraw::Now);
            match result {
                Err(failure) => {
                    model.browse.names = None;
                    model.browse.order.clear();
                    model.browse.trouble = Some(failure.what);
                    Vec::new()
                }
                Ok(names) => {
                    let selected = selected_names(model);
                    let browse = &mut model.browse;
                    browse.trouble = None;
                    browse.looking = None;
                    browse.stats = vec![None; names.len()];
                    (browse.known, browse.total) = (0, 0);
                    browse.counts.clear();
                    if browse.go_to.is_none() && browse.names.is_none() {
                        // In a folder just opened the first of its own rows is meant.
                        browse.cursor = usize::from(browse.has_parent() && !names.is_empty());
                    }
                    let is_selected =
                        |it: &usize| names.get(*it).is_some_and(|it| selected.contains(it.bytes));
                    browse.selected = (0..names.len()).filter(is_selected).collect();
                    browse.names = Some(names);
                    browse.arrange();
                    settle(model);
                    let mut effects = look_up_visible(model);
                    if let Some(names) = &model.browse.names {
                        let all = (0..names.len()).collect();
                        effects.push(Effect::Stat(model.browse.generation, Arc::clone(names), all));
                    }
                    effects
                }
            }
        }
        Message::ListedAbove(path, names) => {
            if let Some(above) = model.above.as_mut().filter(|it| it.path == path) {
                above.learn(names);
                model.dirty(Redraw::Now);
            }
            Vec::new()
        }
        Message::Changed(generation) if generation == model.browse.generation => {
            // Not under the hands of somebody who types or answers.
            if model.popup.is_none() && model.browse.filter.is_none() {
                read_again(model)
            } else {
                Vec::new()
            }
        }
        Message::Stats(generation, stats) if generation == model.browse.generation => {
            let rows = model.browse.top..model.browse.top + model.list_rows();
            let visible: BTreeSet<usize> = rows.filter_map(|it| model.browse.index(it)).collect();
            let is_unknown = |it: usize| model.browse.stats.get(it).is_some_and(Option::is_none);
            let is_seen = stats.iter().any(|it| visible.contains(&it.0) && is_unknown(it.0));
            model.browse.learn(&stats);
            let is_all = model.browse.known == model.browse.stats.len();
            if is_all && !matches!(model.browse.sort.by, Sort::Name | Sort::Kind) {
                model.browse.arrange();
                settle(model);
            }
            model.dirty(if is_seen || is_all { Redraw::Now } else { Redraw::Soon });
            Vec::new()
        }
        Message::Counted(generation, counts) if generation == model.browse.generation => {
            model.browse.counts.extend(counts);
            model.dirty(Redraw::Now);
            Vec::new()
        }
        Message::Previewed(path, preview) => {
            if model.browse.looking.as_ref() == Some(&path) {
                model.browse.preview = Some(preview);
                model.browse.previewed = Some(path);
                model.dirty(Redraw::Now);
            }
            Vec::new()
        }
        Message::Paged(path, result) => {
            model.paging = None;
            model.dirty(Redraw::Now);
            match result {
                Ok(page) => {
                    let column = match &model.popup {
                        Some(Popup::Pager(of, _, column)) if *of == path => *column,
                        _ => 0,
                    };
                    model.popup = Some(Popup::Pager(path, page, column));
                }
                Err(failure) => model.complain(failure.what),
            }
            Vec::new()
        }
        Message::Opened(path, lines) => {
            let (title, file) = (shown(&path), Some(path));
            model.popup = Some(Popup::Text(Reading { title, lines, file, ..Reading::default() }));
            model.dirty(Redraw::Now);
            Vec::new()
        }
        Message::Pictured(path, rows) => {
            model.popup = Some(Popup::Picture(path, rows));
            model.dirty(Redraw::Now);
            Vec::new()
        }
        Message::Addressed(result, purpose) => {
            model.dirty(Redraw::Now);
            match result {
                Ok(it) if purpose == AddressFor::Shown || it.is_public => addressed(model, &it),
                Ok(it) => share(model, it.path),
                Err(failure) => model.complain(failure.what),
            }
            Vec::new()
        }
        Message::Readers(path, result) => {
            if model.browse.info.is_some() && subject(model).as_ref() == Some(&path) {
                model.browse.info = Some(result.unwrap_or_else(|it| vec![it.what]));
                model.dirty(Redraw::Now);
            }
            Vec::new()
        }
        Message::Found(generation, result) => {
            let Some(finding) =
                model.browse.finding.as_mut().filter(|it| it.generation == generation)
            else {
                return Vec::new();
            };
            match result {
                Err(failure) => model.complain(failure.what),
                Ok(now) => {
                    let is_first = finding.hits.is_empty() && !now.hits.is_empty();
                    finding.learn(now.hits);
                    (finding.seen, finding.unreadable) = (now.seen, now.unreadable);
                    finding.is_done = now.is_done;
                    let soon = if is_first || now.is_done { Redraw::Now } else { Redraw::Soon };
                    model.dirty(soon);
                }
            }
            Vec::new()
        }
        Message::Measured(generation, result) => {
            let Some(measuring) =
                model.browse.measuring.as_mut().filter(|it| it.generation == generation)
            else {
                return Vec::new();
            };
            match result {
                Err(failure) => model.complain(failure.what),
                Ok(usage) => {
                    let soon = if usage.is_done { Redraw::Now } else { Redraw::Soon };
                    measuring.usage = usage;
                    model.dirty(soon);
                }
            }
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn selected_names(model: &Model) -> std::collections::HashSet<Vec<u8>> {
    let browse = &model.browse;
    browse.selected.iter().filter_map(|it| browse.name(*it)).map(|it| it.bytes.to_vec()).collect()
}

/// Keeps the cursor on the screen.
fn settle(model: &mut Model) {
    let rows = model.list_rows();
    let browse = &mut model.browse;
    browse.cursor = browse.cursor.min(browse.rows().saturating_sub(1));
    browse.top = scrolled(browse.top, browse.cursor, rows).min(browse.rows().saturating_sub(1));
}

/// What is under the cursor; the folder itself on the row of the folder above.
pub(super) fn subject(model: &Model) -> Option<RelPath> {
    model.browse.current_path().or_else(|| Some(model.browse.path.clone()))
}

/// Does what a key means here.
pub(super) fn act(model: &mut Model, act: Act) -> Vec<Effect> {
    if model.browse.finding.is_some() {
        return below::in_finding(model, act);
    }
    if model.browse.measuring.is_some() {
        return below::in_measuring(model, act);
    }
    let rows = model.list_rows();
    match act {
        Act::Up | Act::Down | Act::PageUp | Act::PageDown | Act::First | Act::Last => {
            let browse = &mut model.browse;
            browse.cursor = moved(act, browse.cursor, browse.rows(), rows);
            settle(model);
            let mut effects = look_up_visible(model);
            effects.extend(refresh_info(model));
            return effects;
        }
        Act::Open => {
            let Some(name) = model.browse.current() else { return act_parent(model) };
            let is_folder = name.kind == Kind::Folder;
            return match model.browse.current_path() {
                Some(path) if is_folder => go(model, path, None),
                Some(path) => {
                    let rows = u16::try_from(rows).unwrap_or(u16::MAX);
                    vec![Effect::OpenFile(path, (model.size.0, rows))]
                }
                None => Vec::new(),
            };
        }
        Act::Parent => return act_parent(model),
        Act::Cancel => {
            let browse = &mut model.browse;
            if browse.job.is_some() {
                model.say("stopping");
                return vec![Effect::Stop, Effect::StopChange];
            }
            if browse.info.take().is_some() || std::mem::take(&mut browse.page) {
            } else if browse.filter.take().is_some() {
                browse.arrange();
                settle(model);
                return look_up_visible(model);
            } else {
                browse.selected.clear();
            }
        }
        Act::Filter => {
            let filter = model.browse.filter.take().unwrap_or_default();
            model.browse.filter = Some(Filter { is_typed: true, ..filter });
        }
        Act::Sort => {
            let options = [
                ('n', "name"),
                ('s', "size, the largest first"),
                ('d', "date, the newest first"),
                ('k', "kind"),
                ('N', "name, reversed"),
                ('S', "size, the smallest first"),
                ('D', "date, the oldest first"),
                ('K', "kind, reversed"),
            ];
            let options = options.map(|(letter, what)| (letter, what.to_owned())).to_vec();
            model.popup = Some(Popup::Menu(Menu { title: "Sort by".to_owned(), options }));
        }
        Act::Select => {
            let browse = &mut model.browse;
            if let Some(index) = browse.index(browse.cursor)
                && !browse.selected.remove(&index)
            {
                browse.selected.insert(index);
            }
            browse.cursor = (browse.cursor + 1).min(browse.rows().saturating_sub(1));
            settle(model);
            return look_up_visible(model);
        }
        Act::SelectAll => {
            let browse = &mut model.browse;
            let all: BTreeSet<usize> = browse.order.iter().copied().collect();
            browse.selected = if browse.selected == all { BTreeSet::new() } else { all };
        }
        Act::Discard => {
            let chosen = model.browse.chosen();
            if chosen.is_empty() {
                model.complain("nothing is chosen");
            } else {
                model.browse.selected.clear();
                return vec![Effect::Do(Op::Discard(chosen))];
            }
        }
        Act::Rename => {
            let (Some(path), Some(name)) = (model.browse.current_path(), model.browse.current())
            else {
                model.complain("the folder above can't be renamed from here");
                return Vec::new();
            };
            let shown_name = text::escape(name.bytes);
            let end = text::escape(suffix(name.bytes)).len();
            let stem = if end == 0 || name.kind == Kind::Folder {
                shown_name.len()
            } else {
                shown_name.len() - end - 1
            };
            let input = Input::with(&shown_name).at(stem);
            let form = Form::new(
                format!("Rename {}", text::shortened(&shown_name, 40)),
                "Rename",
                Purpose::Rename(path),
            );
            open(model, form.text("Name", input, ""));
        }
        Act::Move | Act::Copy => {
            let chosen = model.browse.chosen();
            if chosen.is_empty() {
                model.complain("nothing is chosen");
                return Vec::new();
            }
            let what = match chosen.as_slice() {
                [one] => {
                    text::shortened(&one.file_name().map(text::escape).unwrap_or_default(), 40)
                }
                several => format!("{} items", several.len()),
            };
            let here = Input::with(&with_slash(&model.browse.path));
            let form = if act == Act::Move {
                Form::new(format!("Move {what}"), "Move", Purpose::MoveTo(chosen))
            } else {
                Form::new(format!("Copy {what}"), "Copy", Purpose::CopyTo(chosen))
            };
            let options = ["change nothing", "keep both", "replace, old to trash"];
            let mut form = form.text("Into", here, "a folder, from the volume's root").choice(
                "If it exists",
                &options,
                0,
            );
            form.focus = 0;
            open(model, form);
        }
        Act::EditText => {
            let is_file = model.browse.current().is_some_and(|it| it.kind == Kind::File);
            let path = model.browse.current_path().filter(|_| is_file);
            if path.is_none() {
                model.complain("only a text can be edited");
            }
            return path.map(Effect::OpenEditor).into_iter().collect();
        }
        Act::NewFolder => {
            let purpose = Purpose::NewFolder(model.browse.path.clone());
            open(
                model,
                Form::new("New folder", "Make", purpose).text("Name", Input::default(), ""),
            );
        }
        Act::ColumnsLeft | Act::ColumnsRight if model.browse.info.is_some() => {
            let (lines, shown) = model.info_lines();
            let (top, last) = (model.browse.info_top, lines.len().saturating_sub(shown));
            model.browse.info_top = match act {
                Act::ColumnsLeft => top.min(last).saturating_sub(shown),
                _ => (top + shown).min(last),
            };
        }
        Act::ColumnsLeft => model.browse.column = model.browse.column.saturating_sub(1),
        Act::ColumnsRight => {
            let columns = match model.browse.preview.as_ref().map(|it| &it.body) {
                Some(Body::Table(rows)) => rows.first().map_or(0, Vec::len),
                _ => 0,
            };
            model.browse.column = (model.browse.column + 1).min(columns.saturating_sub(1));
        }
        Act::Columns => model.look.columns = model.look.columns.next(),
        Act::TogglePreview => {
            model.look.preview = !model.look.preview;
            model.browse.looking = None;
            model.browse.preview = None;
        }
        Act::ShowTrash => return vec![Effect::ReadTrash],
        Act::LeftOut => return vec![Effect::ReadLeftOut(model.browse.path.clone())],
        Act::EmptyTrash => {
            let purpose = Purpose::Confirm(Box::new(Op::EmptyTrash), Some("empty".to_owned()));
            let form = Form::new("Empty the trash", "Empty", purpose);
            let form =
                form.line("All that is in the trash is deleted for good. Nobody can have it back.");
            open(model, form.text("To confirm", Input::default(), "type: empty"));
        }
        Act::Find => {
            let purpose = Purpose::Find(model.browse.path.clone());
            let title = format!("Find below {}", shown(&model.browse.path));
            let hint = "a part of the name; * and ? stand for letters";
            open(model, Form::new(title, "Find", purpose).text("Name has", Input::default(), hint));
        }
        Act::Usage => return below::measure(model, model.browse.path.clone()),
        Act::Send => return transfers::send(model),
        Act::Info => return act_info(model),
        Act::Address | Act::Share => {
            let purpose = if act == Act::Share { AddressFor::PassingOn } else { AddressFor::Shown };
            return subject(model).map(|it| Effect::Address(it, purpose)).into_iter().collect();
        }
        _ => {}
    }
    Vec::new()
}

/// An address alone on its line.
fn addressed(model: &mut Model, access: &Access) {
    let title = format!("Address of {}", text::shortened(&shown(&access.path), 50));
    let who = if access.is_public {
        "Anyone can open it, without a key."
    } else {
        "It opens with a key that covers it; S makes an address that needs none."
    };
    let how = "y copies it, if your terminal allows; otherwise mark the line above.";
    let host = (!access.has_host()).then_some(NO_HOST);
    let below = [how, who].into_iter().chain(host).map(str::to_owned).collect();
    model.popup = Some(Popup::Secret(Secret::new(title, access.url(), below, "Close")));
}

/// Asks how long an address with a key of its own is good.
fn share(model: &mut Model, path: RelPath) {
    let title = format!("Share {}", text::shortened(&shown(&path), 50));
    let form = Form::new(title, "Make address", Purpose::Share(path))
        .line("Whoever has the address can read this and nothing else, until it ends.")
        .line("It holds a key of its own: revoke it on the screen of keys.");
    open(model, form.text("Ends", Input::with("30d"), "30d, a date, or never"));
}

fn act_parent(model: &mut Model) -> Vec<Effect> {
    let (path, name) =
        (model.browse.path.parent(), model.browse.path.file_name().map(<[u8]>::to_vec));
    path.map(|it| go(model, it, name)).unwrap_or_default()
}

/// Beside the list; where there is no room, first a look into the file, on the whole screen.
fn act_info(model: &mut Model) -> Vec<Effect> {
    if model.browse.info.take().is_some() {
        model.browse.page = false;
        return Vec::new();
    }
    let is_file = model.browse.current().is_some_and(|it| it.kind == Kind::File);
    if is_file && !model.has_room_beside() && !model.browse.page {
        model.browse.page = true;
        return Vec::new();
    }
    model.browse.info = Some(vec!["...".to_owned()]);
    refresh_info(model)
}

fn refresh_info(model: &mut Model) -> Vec<Effect> {
    model.browse.info_top = 0;
    let is_shown = model.browse.info.is_some();
    subject(model).filter(|_| is_shown).map(Effect::Readers).into_iter().collect()
}

/// A letter of a menu.
pub(super) fn chosen(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let (by, reverse) = match key.code {
        KeyCode::Char('n') => (Sort::Name, false),
        KeyCode::Char('N') => (Sort::Name, true),
        KeyCode::Char('s') => (Sort::Size, false),
        KeyCode::Char('S') => (Sort::Size, true),
        KeyCode::Char('d') => (Sort::Date, false),
        KeyCode::Char('D') => (Sort::Date, true),
        KeyCode::Char('k') => (Sort::Kind, false),
        KeyCode::Char('K') => (Sort::Kind, true),
        _ => return Vec::new(),
    };
    model.browse.sort = Order { by, reverse };
    model.browse.arrange();
    settle(model);
    look_up_visible(model)
}

/// Letters of a filter.
pub(super) fn typed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Esc => {
            model.browse.filter = None;
            model.browse.arrange();
        }
        KeyCode::Enter => {
            if let Some(filter) = &mut model.browse.filter {
                filter.is_typed = false;
            }
            if model.browse.filter.as_ref().is_some_and(|it| it.input.text().is_empty()) {
                model.browse.filter = None;
            }
        }
        KeyCode::Up | KeyCode::Down | KeyCode::PageUp | KeyCode::PageDown => {
            return key::act(key, Place::Move).map(|it| act(model, it)).unwrap_or_default();
        }
        _ => {
            if let Some(filter) = &mut model.browse.filter
                && filter.input.key(key)
            {
                model.browse.top = 0;
                model.browse.arrange();
            }
        }
    }
    settle(model);
    look_up_visible(model)
}

/// Where a cursor goes.
pub(super) fn moved(act: Act, cursor: usize, count: usize, page: usize) -> usize {
    let last = count.saturating_sub(1);
    match act {
        Act::Up => cursor.saturating_sub(1),
        Act::Down => (cursor + 1).min(last),
        Act::PageUp => cursor.saturating_sub(page),
        Act::PageDown => (cursor + page).min(last),
        Act::First => 0,
        Act::Last => last,
        _ => cursor.min(last),
    }
}
