//! A whole file, page by page, whatever its size: what is not shown is not kept.
//!
//! A gzip file is unpacked as far as somebody looks. The unpacking's state is put aside now and then, so that the way
//! back is short too.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::encoding::Encoding;
use crate::text;

/// Bytes that are looked at to find where a line begins.
const BEFORE: usize = 64 << 10;
/// A line that is longer is shown in parts.
const LONGEST_LINE: usize = 4096;
/// Bytes of a line of digits.
const HEX_LINE: usize = 16;
/// Packed bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// Unpacked bytes between two states that are put aside, to begin with.
const FIRST_SPACING: u64 = 4 << 20;
/// How many are kept; then every other one goes, and the spacing doubles.
const MOST_STATES: usize = 256;
/// Bytes that a page is made of at most.
const MOST_READ: usize = 4 << 20;
/// What deflate looks back on (RFC 1951).
const WINDOW: usize = 32 << 10;

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// From a byte on, which begins a line.
    From(u64),
    /// So many lines before a byte.
    Before(u64, usize),
    /// At the end.
    End,
}

/// A part of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Lines, escaped, and the byte that each begins at.
    pub lines: Vec<(u64, String)>,
    /// The byte behind the last of them.
    pub end: u64,
    /// Whether there is nothing behind it.
    pub is_end: bool,
    /// Bytes of the whole, where that is known.
    pub len: Option<u64>,
    /// Its encoding, where that is another than UTF-8.
    pub encoding: Option<&'static str>,
    /// What is wrong with the file.
    pub trouble: Option<String>,
}

/// An open file that is paged through.
#[derive(Debug)]
pub struct Pages {
    source: Source,
    /// Of a text; bytes are shown otherwise.
    encoding: Option<Encoding>,
    /// What is wrong with the file as a whole.
    warning: Option<&'static str>,
}

#[derive(Debug)]
enum Source {
    Plain(File),
    Gzip(Box<Gzip>),
}

/// Asked on long ways: go on?
pub type GoOn<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

impl Pages {
    /// Opens a file to be paged through, as a text or as bytes.
    pub fn new(file: File, encoding: Option<Encoding>) -> io::Result<Pages> {
        let mut magic = [0; 2];
        let is_gzip = file.read_at(&mut magic, 0)? == 2 && magic == [0x1f, 0x8b];
        let source =
            if is_gzip { Source::Gzip(Box::new(Gzip::new(file))) } else { Source::Plain(file) };
        Ok(Pages { source, encoding, warning: None })
    }

    /// The same, with something to be known of it.
    #[must_use]
    pub fn warned(self, warning: Option<&'static str>) -> Pages {
        Pages { warning, ..self }
    }

    /// So many lines of it.
    pub fn page(&mut self, at: Where, lines: usize, go_on: GoOn<'_>) -> io::Result<Page> {
        let start = match at {
            Where::From(byte) => byte,
            Where::Before(byte, count) => self.back(byte, count, go_on)?,
            Where::End => {
                let end = self.source.end(go_on)?;
                self.back(end, lines.saturating_sub(1).max(1), go_on)?
            }
        };
        let longest = if self.encoding.is_some() { LONGEST_LINE } else { HEX_LINE };
        let most = lines * longest;
        let bytes = self.source.read(start, most.min(MOST_READ), go_on)?;
        let is_last = bytes.len() < most.min(MOST_READ);
        let mut page = Page {
            end: start,
            len: self.source.len(),
            encoding: self.encoding.and_then(Encoding::name),
            trouble: self.source.trouble().or_else(|| self.warning.map(str::to_owned)),
            ..Page::default()
        };
        let mut rest = bytes.as_slice();
        while page.lines.len() < lines && !rest.is_empty() {
            let (line, used) = match self.encoding {
                Some(encoding) => text_line(encoding, page.end, rest),
                None => hex_line(page.end, rest),
            };
            page.lines.push((page.end, line));
            page.end += used as u64;
            rest = rest.get(used..).unwrap_or_default();
        }
        page.is_end = is_last && rest.is_empty();
        Ok(page)
    }

    /// The byte that begins the line so many lines before a byte.
    fn back(&mut self, byte: u64, count: usize, go_on: GoOn<'_>) -> io::Result<u64> {
        let Some(encoding) = self.encoding else {
            return Ok(byte
                .saturating_sub((count * HEX_LINE) as u64)
                .next_multiple_of(HEX_LINE as u64));
        };
        let most = (BEFORE.max(count * 256)) as u64;
        let unit = encoding.unit() as u64;
        let from = byte.saturating_sub(most) / unit * unit;
        let len = usize::try_from(byte - from).unwrap_or(BEFORE);
        let bytes = self.source.read(from, len, go_on)?;
        // Lines from the first that surely begins there.
        let mut at = if from == 0 { 0 } else { encoding.line_end(&bytes).unwrap_or(0) };
        let mut starts = Vec::new();
        while at < bytes.len() {
            starts.push(from + at as u64);
            at += line_len(encoding, bytes.get(at..).unwrap_or_default());
        }
        Ok(starts
            .iter()
            .rev()
            .nth(count.saturating_sub(1))
            .or(starts.first())
            .copied()
            .unwrap_or(from))
    }
}

/// How many bytes the first line of some bytes is.
fn line_len(encoding: Encoding, bytes: &[u8]) -> usize {
    let window = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    encoding.line_end(window).unwrap_or(window.len())
}

/// The line that begins at a byte, and how many bytes it is.
fn text_line(encoding: Encoding, at: u64, bytes: &[u8]) -> (String, usize) {
    let used = line_len(encoding, bytes);
    let mark = if at == 0 { encoding.mark() } else { 0 };
    let line = encoding.decode(bytes.get(mark.min(used)..used).unwrap_or_default());
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    (text::escape(line).replace("\\t", "    ").replace("\\\\", "\\"), used)
}

fn hex_line(at: u64, bytes: &[u8]) -> (String, usize) {
    let chunk = bytes.get(..HEX_LINE).unwrap_or(bytes);
    let digits: Vec<String> = chunk.iter().map(|it| format!("{it:02x}")).collect();
    let letter = |it: &u8| if it.is_ascii_graphic() || *it == b' ' { char::from(*it) } else { '.' };
    (
        format!(
            "{at:010x}  {:47}  {}",
            digits.join(" "),
            chunk.iter().map(letter).collect::<String>()
        ),
        chunk.len(),
    )
}

impl Source {
    fn read(&mut self, at: u64, len: usize, go_on: GoOn<'_>) -> io::Result<Vec<u8>> {
        match self {
            Source::Plain(file) => {
                let mut bytes = vec![0; len];
                let filled = read_full(file, &mut bytes, at)?;
                bytes.truncate(filled);
                Ok(bytes)
            }
            Source::Gzip(gzip) => gzip.read(at, len, go_on),
        }
    }

    fn len(&self) -> Option<u64> {
        match self {
            Source::Plain(file) => file.metadata().ok().map(|it| it.len()),
            Source::Gzip(gzip) => gzip.end,
        }
    }

    fn end(&mut self, go_on: GoOn<'_>) -> io::Result<u64> {
        match self {
            Source::Plain(file) => Ok(file.metadata()?.len()),
            Source::Gzip(gzip) => {
                if gzip.end.is_none() {
                    gzip.read(u64::MAX, 0, go_on)?;
                }
                Ok(gzip.end.unwrap_or(gzip.state.unpacked))
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        match self {
            Source::Plain(_) => None,
            Source::Gzip(gzip) => gzip.trouble.map(str::to_owned),
        }
    }
}

fn read_full(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|it| !it.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// How far the unpacking is.
#[derive(Clone)]
struct State {
    inflate: Box<DecompressorOxide>,
    /// The last bytes that came of it, as a ring.
    window: Vec<u8>,
    /// Where in the ring the next one goes.
    ring: usize,
    /// Bytes of the file that were taken.
    packed: u64,
    /// Bytes that came of them.
    unpacked: u64,
    /// Whether a member (RFC 1952 §2.2) begins here.
    is_between: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State({} of {})", self.unpacked, self.packed)
    }
}

#[derive(Debug)]
struct Gzip {
    file: File,
    state: State,
    /// The last of what was unpacked: the next page begins in it, as a rule.
    recent: Vec<u8>,
    /// States that were put aside, in order.
    aside: Vec<State>,
    spacing: u64,
    /// Unpacked bytes in all, once that is known.
    end: Option<u64>,
    trouble: Option<&'static str>,
}

impl Gzip {
    fn new(file: File) -> Gzip {
        let state = State {
            inflate: Box::default(),
            window: vec![0; WINDOW],
            ring: 0,
            packed: 0,
            unpacked: 0,
            is_between: true,
        };
        let aside = vec![state.clone()];
        Gzip {
            file,
            state,
            recent: Vec::new(),
            aside,
            spacing: FIRST_SPACING,
            end: None,
            trouble: None,
        }
    }

    /// Unpacks up to a byte and so many behind it; fewer at the end.
    fn read(&mut self, at: u64, len: usize, go_on: GoOn<'_>) -> io::Result<Vec<u8>> {
        if at < self.state.unpacked - self.recent.len() as u64 {
            let before = self.aside.iter().rev().find(|it| it.unpacked <= at);
            if let Some(state) = before {
                self.state = state.clone();
                self.recent.clear();
            }
        }
        let last = at.saturating_add(len as u64);
        while self.state.unpacked < last {
            if go_on(self.state.unpacked).is_break() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let bytes = self.step()?;
            if bytes.is_empty() {
                self.end = Some(self.state.unpacked);
                break;
            }
            if self.recent.len() > 2 * MOST_READ {
                self.recent.drain(..self.recent.len() - MOST_READ);
            }
            self.recent.extend(bytes);
            self.put_aside();
        }
        let start = self.state.unpacked - self.recent.len() as u64;
        let place = |it: u64| {
            usize::try_from(it.saturating_sub(start)).unwrap_or(usize::MAX).min(self.recent.len())
        };
        Ok(self.recent.get(place(at)..place(last)).unwrap_or_default().to_vec())
    }

    fn put_aside(&mut self) {
        let last = self.aside.last().map_or(0, |it| it.unpacked);
        if self.state.unpacked < last + self.spacing {
            return;
        }
        self.aside.push(self.state.clone());
        if self.aside.len() > MOST_STATES {
            let mut number = 0;
            self.aside.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.spacing *= 2;
        }
    }

    /// The next bytes; none at the end.
    fn step(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut chunk = vec![0; CHUNK];
            let filled = read_full(&self.file, &mut chunk, self.state.packed)?;
            chunk.truncate(filled);
            if self.state.is_between {
                match header(&chunk) {
                    Some(len) => {
                        self.state.packed += len as u64;
                        *self.state.inflate = DecompressorOxide::default();
                        self.state.ring = 0;
                        self.state.is_between = false;
                        continue;
                    }
                    None if filled == 0 => return Ok(Vec::new()),
                    None => {
                        // What comes behind the last member is ignored, as gzip does.
                        if self.state.packed == 0 {
                            self.trouble = Some("gzip's header is broken");
                        }
                        return Ok(Vec::new());
                    }
                }
            }
            let state = &mut self.state;
            let flags = if filled == CHUNK { TINFL_FLAG_HAS_MORE_INPUT } else { 0 };
            let start = state.ring;
            let (status, taken, made) =
                decompress(&mut state.inflate, &chunk, &mut state.window, start, flags);
            state.packed += taken as u64;
            state.unpacked += made as u64;
            let bytes = state.window.get(start..start + made).unwrap_or_default().to_vec();
            state.ring = (start + made) % WINDOW;
            match status {
                TINFLStatus::Done => {
                    // Checksum and length.
                    state.packed += 8;
                    state.is_between = true;
                    if bytes.is_empty() {
                        continue;
                    }
                }
                TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => {
                    if bytes.is_empty() && taken == 0 {
                        self.trouble = Some("gzip ends early: file incomplete?");
                        return Ok(Vec::new());
                    }
                    if bytes.is_empty() {
                        continue;
                    }
                }
                TINFLStatus::FailedCannotMakeProgress => {
                    self.trouble = Some("gzip ends early: file incomplete?");
                }
                _ => self.trouble = Some("gzip is broken here"),
            }
            return Ok(bytes);
        }
    }
}

/// How long the header of a gzip member is (RFC 1952 §2.3); none where there is none.
fn header(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.strip_prefix(&[0x1f, 0x8b, 8])?.first()?;
    let mut at = 10;
    if flags & 4 != 0 {
        let [low, high] = *bytes.get(at..)?.first_chunk::<2>()?;
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for text in [8, 16] {
        if flags & text != 0 {
            at += bytes.get(at..)?.iter().position(|it| *it == 0)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    (bytes.len() >= at).then_some(at)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn pages(bytes: &[u8], encoding: Option<Encoding>) -> Pages {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Pages::new(file, encoding).unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn numbered(lines: u64) -> Vec<u8> {
        (0..lines)
            .flat_map(|it| format!("line {it} of many, with some text behind it\n").into_bytes())
            .collect()
    }

    fn first(pages: &mut Pages, at: Where) -> String {
        let page = pages.page(at, 10, &mut |_| ControlFlow::Continue(())).unwrap();
        page.lines.first().map(|it| it.1.clone()).unwrap_or_default()
    }

    #[test]
    fn plain_and_packed_files_are_paged_through_alike() {
        let text = numbered(300_000);
        for bytes in [
            text.clone(),
            gzip(&text),
            [gzip(&text[..5_000_000]), gzip(&text[5_000_000..])].concat(),
        ] {
            let mut pages = pages(&bytes, Some(Encoding::Utf8));
            assert!(first(&mut pages, Where::From(0)).starts_with("line 0 "));
            let go_on = &mut |_| ControlFlow::Continue(());
            let page = pages.page(Where::From(0), 10, go_on).unwrap();
            assert!(first(&mut pages, Where::From(page.end)).starts_with("line 10 "));
            let end = pages.page(Where::End, 10, go_on).unwrap();
            assert!(end.is_end && end.len == Some(text.len() as u64), "{:?}", end.len);
            assert!(end.lines.last().unwrap().1.starts_with("line 299999 "), "{end:?}");
            let start = end.lines[0].0;
            let before = pages.page(Where::Before(start, 5), 10, go_on).unwrap();
            assert_eq!(before.lines[5], end.lines[0]);
            assert!(
                first(&mut pages, Where::From(0)).starts_with("line 0 "),
                "and all the way back"
            );
        }
    }

    #[test]
    fn a_packed_file_that_ends_early_is_told_of() {
        let packed = gzip(&numbered(300_000));
        let mut pages = pages(&packed[..packed.len() / 2], Some(Encoding::Utf8));
        let page = pages.page(Where::End, 10, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(page.trouble.unwrap().contains("ends early") && page.lines.len() > 5);
    }

    #[test]
    fn the_way_to_the_end_can_be_stopped() {
        let mut pages = pages(&gzip(&numbered(100_000)), Some(Encoding::Utf8));
        let stopped = pages.page(Where::End, 10, &mut |_| ControlFlow::Break(()));
        assert_eq!(stopped.unwrap_err().kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn a_text_of_another_encoding_is_paged_through_in_its_lines() {
        let line = |number: usize| format!("{number}\tZ\u{fc}rich \u{140a}\r\n");
        let text: String = (0..20_000).map(line).collect();
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        let bytes: Vec<u8> = units.flat_map(u16::to_be_bytes).collect();
        for stored in [bytes.clone(), gzip(&bytes)] {
            let mut pages = pages(&stored, Some(Encoding::Utf16Be));
            let go_on = &mut |_| ControlFlow::Continue(());
            let page = pages.page(Where::From(0), 10, go_on).unwrap();
            assert_eq!(page.lines[0].1, "0    Z\u{fc}rich \u{140a}", "without its mark");
            assert_eq!((page.lines.len(), page.encoding), (10, Some("UTF-16")));
            let end = pages.page(Where::End, 10, go_on).unwrap();
            assert!(end.is_end && end.lines.last().unwrap().1.starts_with("19999 "), "{end:?}");
            let before = pages.page(Where::Before(end.lines[0].0, 5), 10, go_on).unwrap();
            assert_eq!(before.lines[5], end.lines[0]);
        }
    }

    #[test]
    fn bytes_are_shown_sixteen_a_line() {
        let mut pages = pages(&[0; 100], None);
        let page = pages.page(Where::From(16), 2, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((page.lines[0].0, page.end, page.is_end), (16, 48, false));
        assert!(page.lines[0].1.starts_with("0000000010  00 00"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_bytes_are_paged_through_whole(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..20_000), packed: bool, is_wide: bool) {
            let stored = if packed { gzip(&bytes) } else { bytes.clone() };
            let is_gzip_itself = !packed && bytes.starts_with(&[0x1f, 0x8b]);
            prop_assume!(!is_gzip_itself);
            let encoding = if is_wide { Encoding::Utf16Le } else { Encoding::Windows1252 };
            let mut pages = pages(&stored, Some(encoding));
            let mut at = 0;
            loop {
                let page = pages.page(Where::From(at), 7, &mut |_| ControlFlow::Continue(())).unwrap();
                at = page.end;
                if page.is_end {
                    break;
                }
            }
            prop_assert_eq!(at, bytes.len() as u64);
        }
    }
}
