//! The tree: what is in a folder, what a file is, and moves, copies and deletions.

use std::ffi::OsStr;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;
use serde::Serialize;
use volume::copy_name::ending;
use volume::left_out::{LeftOut, Why};
use volume::names::{Kind, Names};
use volume::scan::{SearchProgress, Usage};
use volume::staging::Replace;
use volume::trash::{DiscardTarget, Trashed};
use volume::{Blocking, Found, FoundFile, FoundFolder, RelPath, Stat};

use super::undo::Step;
use super::{Desk, Failure, WHO, anywhere, shown};
use crate::cli::Sort;
use crate::model::editor::{Editor, LARGEST};

/// A file or folder of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its name as text; bytes that are no text are replaced in it.
    pub name: String,
    /// Percent-encoded, which any name can be told by.
    pub url: String,
    /// `file` or `directory`, as the server's listings have it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Bytes, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The last write, RFC 3339.
    pub mtime: Option<Timestamp>,
    /// The version, of a file, as the server's listings have it; not while it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Why lists leave it out, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// The name itself.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// A folder, and a name in it.
pub type InFolder = (RelPath, Vec<u8>);

impl Desk {
    /// A file or a folder.
    pub fn find(&self, path: &RelPath) -> Result<Found, Failure> {
        self.volume.find(path, Blocking::MayBlock).map_err(|error| match error {
            volume::FindError::Missing { .. } => {
                Failure::new(format!("there is nothing at `{}`", shown(path)))
            }
            error => error.into(),
        })
    }

    /// A folder.
    pub fn folder(&self, path: &RelPath) -> Result<FoundFolder, Failure> {
        match self.find(path)? {
            Found::Folder(folder) => Ok(folder),
            Found::File(_) => {
                Err(Failure::new(format!("`{}` is a file, not a folder", shown(path))))
            }
        }
    }

    /// A file.
    pub fn file(&self, path: &RelPath) -> Result<FoundFile, Failure> {
        match self.find(path)? {
            Found::File(file) => Ok(file),
            Found::Folder(_) => {
                Err(Failure::new(format!("`{}` is a folder, not a file", shown(path))))
            }
        }
    }

    /// The names in a folder.
    pub fn names(&self, path: &RelPath) -> Result<Names, Failure> {
        let folder = self.folder(path)?;
        Ok(Names::read(&self.volume, folder, path, anywhere)?)
    }

    /// A folder's list in an order; of a file only itself.
    pub fn list(&self, path: &RelPath, sort: Sort, reverse: bool) -> Result<Vec<Entry>, Failure> {
        if let Found::File(file) = self.find(path)? {
            let name = path.file_name().unwrap_or_default();
            return Ok(vec![Entry::new(name, Kind::File, Some(file.stat))]);
        }
        let names = self.names(path)?;
        let stats: Vec<Option<Stat>> = (0..names.len())
            .map(|it| names.get(it).and_then(|it| names.stat(&self.volume, it)))
            .collect();
        let mut order: Vec<usize> = (0..names.len()).collect();
        sort_by(&mut order, &names, &stats, sort, reverse);
        let entry = |index: usize| {
            let name = names.get(index)?;
            Some(Entry::new(name.bytes, name.kind, stats.get(index).copied().flatten()))
        };
        Ok(order.into_iter().filter_map(entry).collect())
    }

    /// Looks for names below a folder.
    pub fn search(
        &self,
        pattern: &str,
        path: &RelPath,
        tell: &mut dyn FnMut(&SearchProgress) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let folder = self.folder(path)?;
        let pattern = Pattern::new(pattern);
        let wanted = |it: &RelPath| it.file_name().is_some_and(|it| pattern.matches(it));
        self.volume.search(&folder, path, &wanted, tell);
        Ok(())
    }

    /// What takes the room in a folder.
    pub fn usage(
        &self,
        path: &RelPath,
        tell: &mut dyn FnMut(&Usage) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        self.volume.usage(&self.folder(path)?, tell);
        Ok(())
    }

    /// Makes a folder.
    pub fn new_folder(&self, path: &RelPath) -> Result<(), Failure> {
        Ok(self.volume.new_folder(path, &anywhere)?)
    }

    /// A small text, to be changed.
    pub fn text(&self, path: &RelPath) -> Result<Editor, Failure> {
        let file = self.file(path)?;
        let name = shown(path);
        if file.stat.len > LARGEST {
            let most = crate::text::bytes(LARGEST);
            return Err(Failure::new(format!(
                "`{name}` is larger than {most}: change it elsewhere"
            )));
        }
        let mut bytes = Vec::new();
        file.open()?.take(LARGEST).read_to_end(&mut bytes)?;
        Editor::new(path.clone(), file.stat, &bytes).ok_or_else(|| {
            Failure::new(format!("`{name}` is not a UTF-8 text: change it elsewhere"))
        })
    }

    /// Writes a file that is not there yet.
    pub fn put_new(&self, path: &RelPath, text: &[u8]) -> Result<(), Failure> {
        let mut staged = self.volume.stage(Some(text.len() as u64))?;
        staged.write(text)?;
        staged.publish(path, Replace::Refuse, &anywhere)?;
        Ok(())
    }

    /// Writes a file whole: no reader sees a part. Where a version is given, only that one is replaced.
    pub fn write(
        &self,
        path: &RelPath,
        from: &mut dyn Read,
        version: Option<Stat>,
    ) -> Result<Stat, Failure> {
        self.write_dated(path, from, version, None)
    }

    /// The same, with a time of its last write.
    pub fn write_dated(
        &self,
        path: &RelPath,
        from: &mut dyn Read,
        version: Option<Stat>,
        modified: Option<i128>,
    ) -> Result<Stat, Failure> {
        let mut staged = self.volume.stage(None)?;
        let mut chunk = vec![0; 1 << 20];
        loop {
            match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => staged.write(chunk.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        modified.map_or(Ok(()), |it| staged.set_modified(it))?;
        let replace = version.map_or(Replace::Always, Replace::IfStill);
        let published = staged.publish(path, replace, &anywhere)?;
        Ok(self.file(&published.path)?.stat)
    }

    /// Moves to the trash. Returns the name it has there.
    pub fn discard(&self, path: &RelPath) -> Result<Vec<u8>, Failure> {
        Ok(self.volume.discard(path, DiscardTarget::Anything, WHO, Timestamp::now(), &anywhere)?)
    }

    /// Moves to the trash again what was restored from it.
    pub fn discard_again(&self, path: &RelPath, before: &Trashed) -> Result<Vec<u8>, Failure> {
        Ok(self.volume.discard_again(path, DiscardTarget::Anything, before, &anywhere)?)
    }

    /// Moves a name in a folder to the trash, also one that no list shows.
    pub fn discard_named(&self, (folder, name): &InFolder) -> Result<Step, Failure> {
        if let Ok(path) = folder.join(name) {
            let in_trash = self.discard(&path)?;
            return Ok(self.trashed_step(&path, in_trash));
        }
        let in_trash = self.volume.discard_hidden(folder, name, WHO, Timestamp::now())?;
        Ok(self.trashed_hidden_step(folder, name, in_trash))
    }

    /// A name in a folder, as somebody writes its path. It may be a hidden one, which no path of the volume has.
    pub fn in_folder(&self, given: &OsStr) -> Result<InFolder, Failure> {
        let text = given.as_bytes();
        let end = text.iter().rposition(|it| *it == b'/').map_or(0, |it| it + 1);
        let (folder, name) = text.split_at(end);
        if volume::layout::is_hidden(name) {
            return Ok((self.path(OsStr::from_bytes(folder))?, name.to_vec()));
        }
        let path = self.path(given)?;
        let both = path.parent().zip(path.file_name().map(<[u8]>::to_vec));
        both.ok_or_else(|| Failure::new("the volume's root can't be moved to the trash"))
    }

    /// What lists leave out of a folder.
    pub fn left_out(&self, path: &RelPath) -> Result<Vec<LeftOut>, Failure> {
        Ok(self.volume.left_out(&self.folder(path)?, path)?)
    }
}

/// What is left out of a list.
pub fn not_shown(many: usize) -> String {
    format!("{} not shown", crate::text::count(many as u64))
}

impl Entry {
    /// Of a name and what is known of it.
    pub fn new(name: &[u8], kind: Kind, stat: Option<Stat>) -> Entry {
        Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            url: volume::escape(name),
            kind: kind_text(kind),
            size: stat.filter(|_| kind == Kind::File).map(|it| it.len),
            mtime: stat.map(|it| crate::text::timestamp(it.modified)),
            etag: stat
                .filter(|it| kind == Kind::File && it.is_settled())
                .map(|it| format!("\"{}\"", it.version())),
            left_out: None,
            bytes: name.to_vec(),
        }
    }

    /// Of something that lists leave out.
    pub fn left_out(it: &LeftOut) -> Entry {
        let kind = match it.why {
            Why::Hidden | Why::TooLong => kind_text(it.kind),
            Why::Fifo | Why::Socket | Why::Device => "other",
            _ => "link",
        };
        let entry = Entry::new(&it.name, it.kind, it.stat);
        Entry { kind, etag: None, left_out: Some(it.why.to_string()), ..entry }
    }
}

/// `file` or `directory`.
pub fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Folder => "directory",
        Kind::File => "file",
    }
}

/// Puts positions of names in an order, folders first in all of them.
pub fn sort_by(
    order: &mut [usize],
    names: &Names,
    stats: &[Option<Stat>],
    sort: Sort,
    reverse: bool,
) {
    let kind = |it: usize| names.get(it).map(|it| it.kind);
    let stat = |it: usize| stats.get(it).copied().flatten();
    // Positions are in natural order already, which decides between equals.
    match sort {
        Sort::Name => order.sort_unstable(),
        Sort::Size => order.sort_by_cached_key(|it| {
            (kind(*it), std::cmp::Reverse(stat(*it).map_or(0, |it| it.len)), *it)
        }),
        Sort::Date => order.sort_by_cached_key(|it| {
            (kind(*it), std::cmp::Reverse(stat(*it).map_or(i128::MIN, |it| it.modified)), *it)
        }),
        Sort::Kind => order.sort_by_cached_key(|it| {
            let name = names.get(*it).map(|it| it.bytes).unwrap_or_default();
            (kind(*it), suffix(name).to_ascii_lowercase(), *it)
        }),
    }
    if reverse {
        let folders = order.partition_point(|it| kind(*it) == Some(Kind::Folder));
        let (folders, files) = order.split_at_mut(folders);
        folders.reverse();
        files.reverse();
    }
}

/// What tells a file's type: `csv.gz` of `trips.csv.gz`.
pub fn suffix(name: &[u8]) -> &[u8] {
    let end = ending(name);
    end.strip_prefix(b".").unwrap_or(end)
}

/// What somebody looks for.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Vec<u8>,
    is_glob: bool,
}

impl Pattern {
    /// A part of a name in any case; with `*` or `?` the whole name.
    pub fn new(text: &str) -> Pattern {
        Pattern { text: text.to_lowercase().into_bytes(), is_glob: text.contains(['*', '?']) }
    }

    /// Whether a name is meant.
    pub fn matches(&self, name: &[u8]) -> bool {
        let name = match std::str::from_utf8(name) {
            Ok(text) => text.to_lowercase().into_bytes(),
            Err(_) => name.to_ascii_lowercase(),
        };
        if self.is_glob {
            return glob(&self.text, &name);
        }
        self.text.is_empty() || name.windows(self.text.len()).any(|it| it == self.text)
    }
}

/// `*` is any bytes, `?` one letter. Takes at most the product of both lengths in steps.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    // Behind the last `*`: where it goes on if it takes one byte more.
    let mut retry: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match (pattern.get(at), name.get(in_name)) {
            (Some(b'*'), _) => {
                retry = Some((at + 1, in_name));
                at += 1;
            }
            (Some(b'?'), _) => {
                at += 1;
                in_name += 1;
                // The rest of a letter of several bytes.
                while name.get(in_name).is_some_and(|it| it & 0xc0 == 0x80) {
                    in_name += 1;
                }
            }
            (Some(wanted), Some(there)) if wanted == there => {
                at += 1;
                in_name += 1;
            }
            _ => match retry {
                None => return false,
                Some((behind, taken)) => {
                    (at, in_name) = (behind, taken + 1);
                    retry = Some((behind, taken + 1));
                }
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|it| *it == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_parts_or_whole_names() {
        let check = |pattern: &str, name: &str, matches: bool| {
            assert_eq!(Pattern::new(pattern).matches(name.as_bytes()), matches, "{pattern} {name}");
        };
        check("trips", "output_Trips.csv.gz", true);
        check("tripz", "output_trips.csv.gz", false);
        check("*.csv.gz", "output_trips.csv.gz", true);
        check("*.csv", "output_trips.csv.gz", false);
        check("it.?", "it.3", true);
        check("it.?", "it.10", false);
        check("m?nchen", "m\u{fc}nchen", true);
        check("*a*b*c*", "xxaxxbxxcxx", true);
        check("*a*b*c*", "xxaxxcxxbxx", false);
        check("", "x", true);
    }

    #[test]
    fn what_tells_the_type_includes_the_packing() {
        let check =
            |name: &str, wanted: &str| assert_eq!(suffix(name.as_bytes()), wanted.as_bytes());
        check("trips.csv.gz", "csv.gz");
        check("trips.csv", "csv");
        check("README", "");
        check(".zarray", "");
        check("x.gz", "gz");
        check("trips.csv.br", "csv.br");
    }
}
