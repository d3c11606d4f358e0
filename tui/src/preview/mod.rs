//! A look into a file: what it is, how much of what is in it, and how it begins.
//!
//! Reads little, whatever the file's size: some 64 KB from its beginning, or the part where its format keeps the
//! directory. A file that is broken is told in one sentence. Knows no screen.

mod avro;
mod encoding;
mod hdf5;
mod head;
mod json;
pub mod pages;
mod sqlite;
mod table;

use std::fs::File;
use std::time::{Duration, Instant};

use crate::ops::Failure;
use crate::ops::files::suffix;
use crate::text;

use encoding::Encoding;
use head::Head;

/// Bytes of a file's beginning that are read, and bytes that may become of them when they are unpacked.
const READ: usize = 64 << 10;
const UNPACKED: usize = 256 << 10;
/// Lines and rows of it that are kept.
const LINES: usize = 200;
/// The same where all is wanted, and columns of a line then.
const ALL_LINES: usize = 100_000;
const WIDEST_LINE: usize = 4096;
/// Bytes that are shown of what is no text.
const SHOWN_BYTES: usize = 256;
/// Columns of one value on the screen.
const WIDEST_CELL: usize = 24;

/// What was seen of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// What it is and how much is in it, a line each.
    pub facts: Vec<String>,
    /// How it begins.
    pub body: Body,
    /// Bytes that were read.
    pub read: u64,
    /// What is wrong with it.
    pub trouble: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// How a file begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// That tells nothing.
    #[default]
    Nothing,
    /// Lines, escaped.
    Lines(Vec<String>),
    /// Bytes, to be shown as digits.
    Bytes(Vec<u8>),
    /// Columns and rows, escaped; the first row has their names.
    Table(Vec<Vec<String>>),
}

impl Body {
    /// In so many lines of a width, tables from a column on.
    pub fn lines(&self, column: usize, room: usize, width: usize) -> Vec<String> {
        let rows = match self {
            Body::Nothing => return Vec::new(),
            Body::Bytes(bytes) => return hex_lines(bytes, width).take(room).collect(),
            // What is all in one line, as much JSON is, goes on in the next.
            Body::Lines(lines) if lines.len() == 1 => {
                let lines = lines.iter().flat_map(|it| text::wrapped(it, width.max(1)));
                return lines.take(room).collect();
            }
            Body::Lines(lines) => return lines.iter().take(room).cloned().collect(),
            Body::Table(rows) => rows.get(..room.min(rows.len())).unwrap_or_default(),
        };
        let columns = rows.first().map_or(0, Vec::len);
        let cell = |row: &Vec<String>, at: usize| row.get(at).cloned().unwrap_or_default();
        let (mut shown, mut used) = (Vec::new(), 0);
        for at in column..columns {
            let widest = rows
                .iter()
                .map(|it| text::width(&cell(it, at)))
                .max()
                .unwrap_or(0)
                .clamp(1, WIDEST_CELL.max(width / 2));
            if used > 0 && used + widest > width {
                break;
            }
            shown.push((at, widest.min(width)));
            used += widest + 2;
        }
        let line = |row: &Vec<String>| {
            let cells = shown.iter().map(|(at, widest)| {
                let cell = text::cut(&cell(row, *at), *widest);
                let space = " ".repeat(widest - text::width(&cell));
                format!("{cell}{space}")
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut lines: Vec<String> = rows.iter().map(line).collect();
        if shown.len() < columns {
            lines.truncate(room.saturating_sub(2));
            let last = shown.last().map_or(0, |it| it.0 + 1);
            lines.push(String::new());
            lines.push(format!("columns {}-{last} of {columns}  < >", column + 1));
        }
        lines
    }
}

/// Looks into a file.
pub fn preview(file: &File, name: &[u8], len: u64) -> Preview {
    let began = Instant::now();
    let end = String::from_utf8_lossy(suffix(name)).to_ascii_lowercase();
    let mut preview = match Head::read(file, READ, UNPACKED) {
        Err(error) => {
            Preview { trouble: Some(format!("can't be read: {error}")), ..Preview::default() }
        }
        Ok(head) if len == 0 => {
            Preview { facts: vec!["empty".to_owned()], read: head.read, ..Preview::default() }
        }
        Ok(head) => look(file, &end, len, &head, LINES),
    };
    preview.took = began.elapsed();
    preview
}

fn look(file: &File, end: &str, len: u64, head: &Head, most: usize) -> Preview {
    let kind = end.strip_suffix(".gz").unwrap_or(end);
    let begins = |magic: &[u8]| head.raw.starts_with(magic);
    let mut preview = match kind {
        _ if begins(b"PAR1") => parquet(file),
        _ if begins(b"SQLite format 3\0") => sqlite::look(file, most),
        _ if begins(b"Obj\x01") => avro::look(&head.raw),
        _ if begins(b"\x89HDF\r\n\x1a\n") => hdf5::look(file, len),
        _ if begins(b"\x89PNG\r\n\x1a\n") || begins(b"\xff\xd8\xff") => picture(file),
        _ if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") => archive(file, most),
        "parquet" | "sqlite" | "gpkg" | "avro" | "omx" | "h5" | "png" | "jpg" | "jpeg" | "zip" => {
            let found = hex(&head.raw);
            Preview { trouble: Some(format!("does not begin as a {kind} file does")), ..found }
        }
        _ => match head.encoding {
            Some(encoding) => as_text(kind, len, head, encoding),
            None => hex(if head.is_packed { &head.text } else { &head.raw }),
        },
    };
    preview.read = preview.read.max(head.read);
    let misnamed = misnamed(end, head.is_packed).map(str::to_owned);
    preview.trouble = misnamed.or(preview.trouble).or_else(|| head.trouble.clone());
    preview
}

fn as_text(kind: &str, len: u64, head: &Head, encoding: Encoding) -> Preview {
    let mut preview = match kind {
        "csv" | "tsv" => table::look(head, len, kind == "tsv"),
        "json" | "geojson" => json::look(head),
        _ => lines(head),
    };
    preview.facts.extend(encoding.name().map(|it| format!("text in {it}")));
    preview
}

/// What a name says wrongly of how a file is packed.
fn misnamed(end: &str, is_packed: bool) -> Option<&'static str> {
    let says_gzip = end.rsplit('.').next() == Some("gz");
    (says_gzip && !is_packed).then_some("its name ends in .gz, but it is not gzip")
}

fn lines(head: &Head) -> Preview {
    let all = head.lines().take(LINES).map(text::escape).map(|it| it.replace("\\t", "    "));
    Preview { body: Body::Lines(all.collect()), ..Preview::default() }
}

fn hex(bytes: &[u8]) -> Preview {
    let bytes = bytes.get(..SHOWN_BYTES).unwrap_or(bytes).to_vec();
    let (facts, body) = (vec!["binary".to_owned()], Body::Bytes(bytes));
    Preview { facts, body, ..Preview::default() }
}

/// As many bytes a line as there is room for, and the letters among them.
fn hex_lines(bytes: &[u8], width: usize) -> impl Iterator<Item = String> {
    let count = [16, 8, 4].into_iter().find(|it| 6 + it * 4 <= width).unwrap_or(4);
    bytes.chunks(count).enumerate().map(move |(number, chunk)| {
        let digits: Vec<String> = chunk.iter().map(|it| format!("{it:02x}")).collect();
        let letter =
            |it: &u8| if it.is_ascii_graphic() || *it == b' ' { char::from(*it) } else { '.' };
        let letters: String = chunk.iter().map(letter).collect();
        let room = count * 3 - 1;
        format!("{:04x}  {:room$} {letters}", number * count, digits.join(" "))
    })
}

/// What a format's own library says of it is for programmers.
fn broken(what: &str) -> Preview {
    let trouble = format!("{what} can't be read: the file is damaged or not complete");
    Preview { trouble: Some(trouble), ..Preview::default() }
}

/// Parquet keeps its schema and its counts at the end.
fn parquet(file: &File) -> Preview {
    use parquet::file::metadata::ParquetMetaDataReader;
    let Ok(metadata) = ParquetMetaDataReader::new().parse_and_finish(file) else {
        return broken("its directory");
    };
    let schema = metadata.file_metadata().schema_descr();
    let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    let columns = schema.columns().iter().map(|it| {
        let logical =
            it.logical_type_ref().map(|it| format!(" ({it:?})").to_lowercase()).unwrap_or_default();
        let logical = if logical.len() > 24 { String::new() } else { logical };
        let name = text::escape(it.path().string().as_bytes());
        vec![name, format!("{}{logical}", it.physical_type()).to_lowercase()]
    });
    let facts = vec![
        format!("parquet  {}", text::things(rows, "row", "rows")),
        format!(
            "{}, {}",
            text::things(schema.num_columns() as u64, "column", "columns"),
            text::things(metadata.num_row_groups() as u64, "row group", "row groups")
        ),
    ];
    let header = vec!["column".to_owned(), "type".to_owned()];
    Preview {
        facts,
        body: Body::Table(std::iter::once(header).chain(columns).collect()),
        ..Preview::default()
    }
}

/// How a file is looked at as a whole.
#[derive(Debug)]
pub enum Whole {
    /// Page by page.
    Pages(pages::Pages),
    /// All that is to be told of it, in lines.
    Lines(Vec<String>),
    /// As a picture: rows of an upper and a lower half of a cell, in red, green and blue.
    Picture(Vec<Vec<[[u8; 3]; 2]>>),
}

/// Bytes that a picture may take when it is unpacked.
const LARGEST_PICTURE: u64 = 256 << 20;

/// Opens a file to be looked at as a whole, in so many columns and rows.
pub fn whole(
    file: File,
    name: &[u8],
    len: u64,
    (columns, rows): (u16, u16),
) -> Result<Whole, Failure> {
    let head = Head::read(&file, READ, READ)?;
    let begins = |magic: &[u8]| head.raw.starts_with(magic);
    if begins(b"\x89PNG\r\n\x1a\n") || begins(b"\xff\xd8\xff") {
        return half_blocks(&file, columns, rows).map(Whole::Picture);
    }
    let formats: [&[u8]; 6] =
        [b"PAR1", b"SQLite format 3\0", b"Obj\x01", b"\x89HDF", b"PK\x03\x04", b"PK\x05\x06"];
    let end = String::from_utf8_lossy(suffix(name)).to_ascii_lowercase();
    if formats.iter().any(|it| begins(it)) {
        let head = Head::read(&file, READ, UNPACKED)?;
        let seen = look(&file, &end, len, &head, ALL_LINES);
        let mut lines = seen.facts.clone();
        lines.extend(seen.trouble.iter().map(|it| format!("! {it}")));
        lines.push(String::new());
        lines.extend(seen.body.lines(0, usize::MAX, WIDEST_LINE));
        return Ok(Whole::Lines(lines));
    }
    let pages = pages::Pages::new(file, head.encoding)?;
    Ok(Whole::Pages(pages.warned(misnamed(&end, head.is_packed))))
}

fn half_blocks(file: &File, columns: u16, rows: u16) -> Result<Vec<Vec<[[u8; 3]; 2]>>, Failure> {
    let mut reader =
        image::ImageReader::new(std::io::BufReader::new(file)).with_guessed_format()?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(LARGEST_PICTURE);
    reader.limits(limits);
    let picture = reader.decode().map_err(|it| Failure::new(no_picture(&it)))?;
    let picture = picture.thumbnail(columns.into(), u32::from(rows) * 2).to_rgb8();
    let pixel = |x: u32, y: u32| picture.get_pixel_checked(x, y).map_or([0; 3], |it| it.0);
    let row = |y: u32| (0..picture.width()).map(|x| [pixel(x, y), pixel(x, y + 1)]).collect();
    Ok((0..picture.height()).step_by(2).map(row).collect())
}

fn picture(file: &File) -> Preview {
    let reader = image::ImageReader::new(std::io::BufReader::new(file)).with_guessed_format();
    let size =
        reader.map_err(image::ImageError::from).and_then(image::ImageReader::into_dimensions);
    match size {
        Ok((width, height)) => Preview {
            facts: vec![format!("picture  {width} x {height} pixels")],
            ..Preview::default()
        },
        Err(error) => Preview { trouble: Some(no_picture(&error)), ..Preview::default() },
    }
}

/// Why a picture is not shown.
fn no_picture(error: &image::ImageError) -> String {
    use image::ImageError;
    match error {
        ImageError::Limits(_) => {
            format!(
                "the picture is too large to be shown: it takes more than {}",
                text::bytes(LARGEST_PICTURE)
            )
        }
        ImageError::Unsupported(_) => "a picture of a kind that can't be shown".to_owned(),
        ImageError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            format!("the picture can't be read: {error}")
        }
        _ => "the picture is damaged or not complete".to_owned(),
    }
}

fn archive(file: &File, most: usize) -> Preview {
    let Ok(mut archive) = zip::ZipArchive::new(std::io::BufReader::new(file)) else {
        return broken("its directory");
    };
    let count = archive.len() as u64;
    let mut rows = vec![vec!["name".to_owned(), "size".to_owned()]];
    let mut unpacked = 0;
    for index in 0..archive.len() {
        if let Ok(entry) = archive.by_index_raw(index) {
            unpacked += entry.size();
            if rows.len() <= most {
                rows.push(vec![text::escape(entry.name_raw()), text::bytes(entry.size())]);
            }
        }
    }
    let facts = vec![
        format!("zip  {}", text::things(count, "entry", "entries")),
        format!("unpacked {}", text::bytes(unpacked)),
    ];
    Preview { facts, body: Body::Table(rows), ..Preview::default() }
}
