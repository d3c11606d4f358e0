//! The answer to an offer, field by field.

use ::transfers::transfer::Question;
use crossterm::event::{KeyCode, KeyEvent};

use super::{show, transfers};
use volume::OnConflict;

use crate::cli::transfers::TransfersCommand;
use crate::effect::{Effect, Wish};
use crate::key::Act;
use crate::model::{Conflict, Model, OfferField, OfferForm};
use crate::ops::{typed_folder, typed_name};

/// A key where an offer is answered and letters go into a field.
pub(super) fn typed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Esc => return show(model, model.before),
        KeyCode::F(1) => return super::act_on(model, Act::Help),
        KeyCode::Tab => {
            if let Some(form) = form(model)
                && form.focus == OfferField::Into
            {
                return vec![Effect::CompleteFolder(form.into.text().to_owned())];
            }
            forward(model);
        }
        KeyCode::Enter | KeyCode::Down => forward(model),
        KeyCode::Up | KeyCode::BackTab => backward(model),
        _ => {
            let Some(form) = form(model) else { return Vec::new() };
            let input =
                if form.focus == OfferField::Into { &mut form.into } else { &mut form.name };
            if input.key(key) {
                form.error = None;
                form.folders.clear();
            }
        }
    }
    Vec::new()
}

/// Does what a key means where no letters are typed.
pub(super) fn act(model: &mut Model, act: Act) -> Vec<Effect> {
    match act {
        Act::Cancel => return show(model, model.before),
        Act::NextField | Act::Down => forward(model),
        Act::Up => backward(model),
        Act::Choose => choose(model),
        Act::RefuseOffer => focus(model, OfferField::Refuse),
        Act::AcceptOffer => return press(model),
        _ => {}
    }
    Vec::new()
}

fn form(model: &mut Model) -> Option<&mut OfferForm> {
    model.receive.opened.as_mut()?.offer.as_mut()
}

fn focus(model: &mut Model, field: OfferField) {
    if let Some(form) = form(model) {
        form.focus = field;
    }
}

/// To the next field or button.
pub(super) fn forward(model: &mut Model) {
    step(model, 1);
}

fn backward(model: &mut Model) {
    step(model, -1);
}

fn step(model: &mut Model, by: isize) {
    let has_conflict = question(model).is_some_and(|it| has_conflict(model, &it));
    let Some(form) = form(model) else { return };
    let fields = form.fields(has_conflict);
    let at = fields.iter().position(|it| *it == form.focus).unwrap_or(0);
    let next = at.checked_add_signed(by).unwrap_or(fields.len() - 1) % fields.len();
    form.focus = fields.get(next).copied().unwrap_or_default();
    form.folders.clear();
}

fn question(model: &Model) -> Option<Question> {
    let number = model.receive.opened.as_ref()?.number;
    model.transfers.get(number)?.question.clone()
}

/// Whether something is known to be where it would go.
fn has_conflict(model: &Model, question: &Question) -> bool {
    let form = model.receive.opened.as_ref().and_then(|it| it.offer.as_ref());
    question.existing.is_some() && form.is_some_and(|it| it.is_at(question))
}

fn choose(model: &mut Model) {
    let Some(form) = form(model) else { return };
    form.error = None;
    match form.focus {
        OfferField::Conflict => {
            form.conflict = match form.conflict {
                Conflict::KeepBoth => Conflict::Replace,
                Conflict::Replace => Conflict::Elsewhere,
                Conflict::Elsewhere => Conflict::KeepBoth,
            };
        }
        OfferField::Unpack => form.unpack = form.unpack.map(|it| !it),
        _ => {}
    }
}

/// Enter: on a button it is pressed, elsewhere it goes on.
fn press(model: &mut Model) -> Vec<Effect> {
    let number = model.receive.opened.as_ref().map_or(0, |it| it.number);
    let Some(question) = question(model) else { return Vec::new() };
    let is_read_only = model.look.read_only;
    let has_conflict = has_conflict(model, &question);
    let Some(form) = form(model) else { return Vec::new() };
    match form.focus {
        OfferField::Accept | OfferField::Refuse if is_read_only => {
            model.complain(crate::ops::READ_ONLY);
            Vec::new()
        }
        OfferField::Accept | OfferField::Refuse if form.is_answered => Vec::new(),
        OfferField::Refuse => {
            form.is_answered = true;
            let command = TransfersCommand::Refuse { number, why: String::new() };
            vec![Effect::Transfer(Wish::Transfers(command))]
        }
        OfferField::Accept => match accept(form, number, has_conflict) {
            Ok(command) => {
                form.is_answered = true;
                vec![Effect::Transfer(Wish::Transfers(command))]
            }
            Err((field, why)) => {
                // The cursor goes to what is wrong.
                (form.focus, form.error) = (field, Some(why));
                Vec::new()
            }
        },
        OfferField::Conflict if form.conflict == Conflict::Elsewhere => {
            form.focus = OfferField::Into;
            Vec::new()
        }
        OfferField::Conflict => {
            form.focus = OfferField::Accept;
            Vec::new()
        }
        _ => {
            forward(model);
            Vec::new()
        }
    }
}

fn accept(
    form: &OfferForm,
    number: u64,
    has_conflict: bool,
) -> Result<TransfersCommand, (OfferField, String)> {
    let refused = |field| move |why: String| (field, why);
    let into = typed_folder(form.into.text()).map_err(refused(OfferField::Into))?;
    let name = typed_name(form.name.text()).map_err(refused(OfferField::Name))?;
    form.path().map_err(refused(OfferField::Name))?;
    let on_conflict = match form.conflict {
        _ if !has_conflict => None,
        Conflict::KeepBoth => Some(OnConflict::KeepBoth),
        Conflict::Replace => Some(OnConflict::Replace),
        Conflict::Elsewhere => {
            let why = "type another folder, or another name".to_owned();
            return Err((OfferField::Into, why));
        }
    };
    let unpack = form.unpack == Some(true);
    // What is unpacked gets its own name without the ending.
    let is_own_name = unpack && !form.is_renamed();
    let name = String::from_utf8(name)
        .map_err(|_odd| (OfferField::Name, "a name must be UTF-8 here".to_owned()))?;
    Ok(TransfersCommand::Accept {
        number,
        into: Some(transfers::typed(&into)),
        name: Some(name).filter(|_| !is_own_name),
        on_conflict,
        unpack,
    })
}
