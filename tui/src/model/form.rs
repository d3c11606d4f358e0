//! A question with fields and two buttons. Esc always means no.

use super::Input;
use crate::effect::Op;

/// A question.
#[derive(Debug)]
pub struct Form {
    /// What it is about.
    pub title: String,
    /// What to know before answering.
    pub text: Vec<String>,
    /// What to fill in.
    pub fields: Vec<Field>,
    /// What the button that does it is called.
    pub button: &'static str,
    /// Which field has the cursor; behind the fields come the two buttons.
    pub focus: usize,
    /// What could be filled in.
    pub below: Vec<String>,
    /// What is wrong with what was filled in.
    pub error: Option<String>,
    /// What it is for.
    pub purpose: Purpose,
}

/// Something to fill in.
#[derive(Clone, Debug)]
pub struct Field {
    /// What it is.
    pub label: &'static str,
    /// What is filled in.
    pub kind: FieldKind,
    /// What to know of it.
    pub hint: &'static str,
}

/// How it is filled in.
#[derive(Clone, Debug)]
pub enum FieldKind {
    /// With text.
    Text(Input),
    /// With one of these.
    Choice(Vec<String>, usize),
}

/// What a form is for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// Fields make an operation of themselves.
    Rename(volume::RelPath),
    /// To which folder.
    MoveTo(Vec<volume::RelPath>),
    /// To which folder.
    CopyTo(Vec<volume::RelPath>),
    /// In which folder.
    NewFolder(volume::RelPath),
    /// In which folder to look.
    Find(volume::RelPath),
    /// Until when.
    Share(volume::RelPath),
    /// A command.
    Palette,
    /// A new key.
    AddKey,
    /// Which key, and what may become of it.
    RotateKey(Box<volume::keys::sheet::KeyRow>, Vec<volume::keys::sheet::OldKey>),
    /// Which key; its mask's end must be typed.
    RevokeKey(Box<volume::keys::sheet::KeyRow>, String),
    /// Which key.
    EditKey(Box<volume::keys::sheet::KeyRow>),
    /// Leave, though a change is not over.
    Quit,
    /// Cancel a transfer.
    CancelTransfer(u64),
    /// Send these by wormhole.
    Send(Vec<volume::RelPath>),
    /// Just do it, when this word was typed, if there is one.
    Confirm(Box<Op>, Option<String>),
}

impl Form {
    /// With the cursor in the first field, or on `Cancel` where there is none.
    pub fn new(title: impl Into<String>, button: &'static str, purpose: Purpose) -> Form {
        let (title, text, fields, below) = (title.into(), Vec::new(), Vec::new(), Vec::new());
        Form { title, text, fields, button, focus: 1, below, error: None, purpose }
    }

    /// One more line to read.
    #[must_use]
    pub fn line(mut self, text: impl Into<String>) -> Form {
        self.text.push(text.into());
        self
    }

    /// One more field of text.
    #[must_use]
    pub fn text(mut self, label: &'static str, input: Input, hint: &'static str) -> Form {
        self.fields.push(Field { label, kind: FieldKind::Text(input), hint });
        self.focus = 0;
        self
    }

    /// One more field of a choice.
    #[must_use]
    pub fn choice(mut self, label: &'static str, options: &[&str], at: usize) -> Form {
        let options = options.iter().map(|it| (*it).to_owned()).collect();
        self.fields.push(Field { label, kind: FieldKind::Choice(options, at), hint: "" });
        self.focus = 0;
        self
    }

    /// What a field of text says.
    pub fn value(&self, label: &str) -> &str {
        match self.fields.iter().find(|it| it.label == label).map(|it| &it.kind) {
            Some(FieldKind::Text(input)) => input.text(),
            Some(FieldKind::Choice(options, at)) => options.get(*at).map_or("", String::as_str),
            None => "",
        }
    }

    /// Which of the choices is taken.
    pub fn chosen(&self, label: &str) -> usize {
        match self.fields.iter().find(|it| it.label == label).map(|it| &it.kind) {
            Some(FieldKind::Choice(_, at)) => *at,
            _ => 0,
        }
    }

    /// Whether the cursor is on the button that does it.
    pub fn is_on_button(&self) -> bool {
        self.focus == self.fields.len()
    }

    /// Whether the cursor is on `Cancel`.
    pub fn is_on_cancel(&self) -> bool {
        self.focus == self.fields.len() + 1
    }

    /// Whether Enter gives the answer, and does not just go on to the next field.
    pub fn is_answered(&self) -> bool {
        !self.is_on_cancel() && self.focus + 1 >= self.fields.len()
    }

    /// Says what is wrong; the cursor goes to the field that it is in.
    pub fn refuse(&mut self, field: Option<&str>, why: String) {
        self.error = Some(why);
        let wrong = self.fields.iter().position(|it| Some(it.label) == field);
        self.focus = wrong.unwrap_or(self.focus);
    }

    /// To the next field or button.
    pub fn forward(&mut self) {
        self.focus = (self.focus + 1) % (self.fields.len() + 2);
    }

    /// To the one before.
    pub fn backward(&mut self) {
        self.focus = self.focus.checked_sub(1).unwrap_or(self.fields.len() + 1);
    }

    /// Whether the cursor is in a field of text.
    pub fn is_in_text(&self) -> bool {
        let field = self.fields.get(self.focus);
        field.is_some_and(|it| matches!(it.kind, FieldKind::Text(_)))
    }

    /// Whether left and right choose something where the cursor is.
    pub fn is_on_choice(&self) -> bool {
        !self.is_in_text()
    }

    /// The field with the cursor.
    pub fn field(&mut self) -> Option<&mut Field> {
        self.fields.get_mut(self.focus)
    }
}
