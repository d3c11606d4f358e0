//! The screen on which something is received: a code and a folder first, then what is offered.

use transfers::transfer::{Question, TransferStatus};
use volume::RelPath;
use wormhole::wordlist;

use super::Input;
use crate::ops::{typed_folder, typed_name, with_slash};
use crate::text;

/// What is received.
#[derive(Debug, Default)]
pub struct ReceiveScreen {
    /// The sender's code, as far as it is typed.
    pub code: Input,
    /// The folder that it goes into.
    pub into: Input,
    /// Whether the folder is being typed, and not the code.
    pub is_into: bool,
    /// Which of the words that fit is marked.
    pub marked: Option<usize>,
    /// What the folder may become.
    pub folders: Vec<String>,
    /// The code that was asked about: Enter uses it as it is.
    pub doubted: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// Whether a transfer is about to begin.
    pub is_starting: bool,
    /// The transfer that is followed here instead.
    pub opened: Option<Opened>,
}

/// A transfer that is followed, from its code to the answer.
#[derive(Debug, Default)]
pub struct Opened {
    /// Its number.
    pub number: u64,
    /// What is to be answered, once something is offered.
    pub offer: Option<OfferForm>,
}

/// An answer to an offer, as far as it is made.
#[derive(Debug, Default)]
pub struct OfferForm {
    /// The folder that it goes into.
    pub into: Input,
    /// Its name there.
    pub name: Input,
    /// The name that it has otherwise, as it is typed.
    pub sent_name: String,
    /// What becomes of what has the name already.
    pub conflict: Conflict,
    /// Whether an archive is unpacked; none where it is no archive.
    pub unpack: Option<bool>,
    /// Where the cursor is.
    pub focus: OfferField,
    /// What the folder may become.
    pub folders: Vec<String>,
    /// What is wrong with what was filled in.
    pub error: Option<String>,
    /// Whether it is answered, and the answer on its way.
    pub is_answered: bool,
}

/// What becomes of what has the name already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// Both stay.
    #[default]
    KeepBoth,
    /// The old one goes to the trash.
    Replace,
    /// It goes to another folder.
    Elsewhere,
}

/// Where the cursor is in the answer to an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OfferField {
    /// The folder.
    Into,
    /// The name.
    Name,
    /// The choice of what becomes of what is there.
    Conflict,
    /// Whether to unpack.
    Unpack,
    /// The button that accepts.
    #[default]
    Accept,
    /// The button that refuses.
    Refuse,
}

impl ReceiveScreen {
    /// Words that may stand in place of the last one.
    pub fn words(&self) -> Vec<&'static str> {
        wordlist::completions(self.code.text())
    }

    /// The code as it is sent.
    pub fn code_text(&self) -> String {
        let typed = self.code.text().trim_matches('-');
        // The other side's line as a whole is a code too.
        wordlist::in_small_letters(typed.strip_prefix("wormhole-receive-").unwrap_or(typed))
    }

    /// Words that are in no list, but for one that is still being typed.
    pub fn unknown(&self) -> Vec<wordlist::Unknown> {
        let mut unknown = wordlist::check(&self.code_text());
        let is_typed = !self.code.text().ends_with('-') && !self.words().is_empty();
        if is_typed {
            let last = self.code.text().rsplit('-').next().unwrap_or_default().to_lowercase();
            unknown.retain(|it| it.word != last);
        }
        unknown
    }
}

impl OfferForm {
    /// For what is offered.
    pub fn new(now: &TransferStatus, question: &Question) -> OfferForm {
        let is_archive = now.transfer.offer.as_ref().is_some_and(|it| it.is_archive);
        let folder = question.path.parent().unwrap_or_default();
        let name = question.path.file_name().map(text::escape).unwrap_or_default();
        let focus =
            if question.existing.is_some() { OfferField::Conflict } else { OfferField::Accept };
        OfferForm {
            into: Input::with(&with_slash(&folder)),
            name: Input::with(&name),
            sent_name: name,
            unpack: is_archive.then_some(false),
            focus,
            ..OfferForm::default()
        }
    }

    /// The fields that there are, in their order.
    pub fn fields(&self, has_conflict: bool) -> Vec<OfferField> {
        let mut fields = vec![OfferField::Into, OfferField::Name];
        fields.extend(self.unpack.map(|_| OfferField::Unpack));
        fields.extend(has_conflict.then_some(OfferField::Conflict));
        fields.extend([OfferField::Accept, OfferField::Refuse]);
        fields
    }

    /// Whether letters go into a field.
    pub fn is_typed(&self) -> bool {
        matches!(self.focus, OfferField::Into | OfferField::Name)
    }

    /// Where it would be.
    pub fn path(&self) -> Result<RelPath, String> {
        let folder = typed_folder(self.into.text())?;
        let name = typed_name(self.name.text())?;
        folder.join(&self.unpacked_name(&name)).map_err(|it| it.to_string())
    }

    /// What is unpacked loses its ending, unless it was given another name.
    fn unpacked_name(&self, name: &[u8]) -> Vec<u8> {
        let is_stem = self.unpack == Some(true) && !self.is_renamed();
        let end = if is_stem { name.len().saturating_sub(4) } else { name.len() };
        name.get(..end).unwrap_or(name).to_vec()
    }

    /// Whether it gets another name than the sender's.
    pub fn is_renamed(&self) -> bool {
        self.name.text() != self.sent_name
    }

    /// Whether what is known of the place is of the place that is meant now.
    pub fn is_at(&self, question: &Question) -> bool {
        self.path().is_ok_and(|it| it == question.path)
    }
}
