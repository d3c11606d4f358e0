//! Archives between this crate and other programs: Python's `zipfile`, which magic-wormhole uses for unpacking and whose layout it streams,
//! and Info-ZIP's `unzip`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are not `in tests` to the lints"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use zipstream::{
    Announced, Entry, Kind, Member, Sink, Totals, UnzipError, ZipReader, ZipWriter, zip_size,
};

/// Makes an archive of the input lines, `NAME TAB HEX`, and writes it out.
const MAKE: &str = r#"
import io, sys, zipfile
method, streamed, wide = sys.argv[1], sys.argv[2] == "streamed", sys.argv[3] == "wide"
class Pipe(io.RawIOBase):
    def writable(self): return True
    def write(self, data): return sys.stdout.buffer.write(data)
out = Pipe() if streamed else io.BytesIO()
with zipfile.ZipFile(out, "w", getattr(zipfile, "ZIP_" + method)) as made:
    made.comment = b"made for a test"
    for line in sys.stdin.buffer:
        name, data = line.decode().rstrip("\n").split("\t")
        info = zipfile.ZipInfo(name)
        info.compress_type = getattr(zipfile, "ZIP_" + method)
        info.external_attr = (0o040755 << 16 | 16) if name.endswith("/") else 0o100644 << 16
        with made.open(info, "w", force_zip64=wide) as member: member.write(bytes.fromhex(data))
if not streamed: sys.stdout.buffer.write(out.getvalue())
"#;

/// Reads an archive like magic-wormhole, and writes a line for each member: `NAME TAB MODE TAB HEX`.
const READ: &str = r#"
import io, sys, zipfile
with zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())) as made:
    assert made.testzip() is None
    for info in made.infolist():
        line = "\t".join([info.filename, oct(info.external_attr >> 16)[2:], made.read(info).hex()])
        sys.stdout.buffer.write(line.encode() + b"\n")
"#;

fn python(script: &str, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new("python3")
        .args(["-c", script])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed");
    let mut to_child = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || to_child.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

type Files = BTreeMap<String, Vec<u8>>;

/// A folder ends with a slash and has no data.
#[derive(Default)]
struct Kept {
    files: Files,
    open: String,
}

impl Sink for Kept {
    type Error = std::convert::Infallible;

    fn folder(&mut self, name: &[u8]) -> Result<(), Self::Error> {
        self.files.insert(format!("{}/", std::str::from_utf8(name).unwrap()), Vec::new());
        Ok(())
    }

    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Self::Error> {
        self.open = String::from_utf8(entry.name.to_vec()).unwrap();
        self.files.insert(self.open.clone(), Vec::new());
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.files.get_mut(&self.open).unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Reads an archive in pieces of a wormhole record, and in pieces of unusual sizes.
fn unzip(stream: &[u8], files: &Files) -> Files {
    let kept = unzip_by(16 << 10, stream, files);
    assert!(unzip_by(31, stream, files) == kept);
    kept
}

fn unzip_by(chunk: usize, stream: &[u8], files: &Files) -> Files {
    let announced = Announced {
        bytes: files.values().map(|it| it.len() as u64).sum(),
        files: files.keys().filter(|it| !it.ends_with('/')).count() as u64,
    };
    let mut reader = ZipReader::new(announced);
    let mut kept = Kept::default();
    for bytes in stream.chunks(chunk) {
        reader.push(bytes, &mut kept).unwrap();
    }
    let totals = reader.finish().unwrap();
    assert_eq!((totals.bytes, totals.files), (announced.bytes, announced.files));
    kept.files
}

fn zip(files: &Files) -> Vec<u8> {
    let members: Vec<Member> = files.iter().map(|(name, data)| member(name, data.len())).collect();
    let promised = zip_size(&members);
    let mut writer = ZipWriter::new(members);
    let mut stream = Vec::new();
    let mut data = files.values();
    while let Some((_, header)) = writer.begin() {
        stream.extend(header);
        let data = data.next().unwrap();
        writer.data(data).unwrap();
        stream.extend(data);
        stream.extend(writer.end().unwrap());
    }
    stream.extend(writer.finish());
    assert_eq!(stream.len() as u64, promised);
    stream
}

fn member(name: &str, size: usize) -> Member {
    let is_folder = name.ends_with('/');
    let kind = if is_folder { Kind::Folder } else { Kind::File { size: size as u64 } };
    Member { name: name.into(), kind, mode: if is_folder { 0o755 } else { 0o640 } }
}

fn by_python(method: &str, how: &str, width: &str, files: &Files) -> Vec<u8> {
    let lines: Vec<String> =
        files.iter().map(|(name, data)| format!("{name}\t{}\n", hex(data))).collect();
    python(MAKE, &[method, how, width], lines.concat().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |it: u8| char::from(b"0123456789abcdef"[usize::from(it)]);
    bytes.iter().flat_map(|it| [digit(it >> 4), digit(it & 15)]).collect()
}

/// Bytes that can't be compressed, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// Unusual contents of a folder: archives, look-alikes, empty files.
fn odd_files() -> Files {
    let inner: Files = [("a", &b"inner a"[..]), ("b/c", b""), ("d/", b"")]
        .map(|(name, data)| (name.to_owned(), data.to_vec()))
        .into();
    let mut streamed = b"PK\x07\x08".repeat(500);
    streamed.extend(b"PK\x03\x04".repeat(500));
    streamed.extend(b"PK\x01\x02PK\x05\x06".repeat(500));
    let all = [
        ("empty", Vec::new()),
        ("empty folder/", Vec::new()),
        ("a/b/c/deep.txt", b"text\n".repeat(5000)),
        ("noise.bin", noise(200_000)),
        ("zeros.bin", vec![0; 100_000]),
        ("fakes.bin", streamed),
        ("inner stored.zip", by_python("STORED", "streamed", "narrow", &inner)),
        ("inner deflated.zip", by_python("DEFLATED", "seekable", "narrow", &inner)),
        ("inner ours.zip", zip(&inner)),
        ("Überprüfung/données 数据 🌊.nc", b"unicode".to_vec()),
    ];
    all.map(|(name, data)| (name.to_owned(), data)).into()
}

#[test]
fn what_python_writes_is_read() {
    let files = odd_files();
    for method in ["STORED", "DEFLATED"] {
        for how in ["streamed", "seekable"] {
            for width in ["narrow", "wide"] {
                let stream = by_python(method, how, width, &files);
                assert!(unzip(&stream, &files) == files, "{method}, {how}, {width}");
            }
        }
    }
}

#[test]
fn two_thousand_files_of_python_are_read() {
    let file = |it: usize| (format!("part {}/{it}.txt", it % 7), noise(it % 90));
    let files: Files = (0..2000).map(file).collect();
    assert!(unzip(&by_python("STORED", "streamed", "narrow", &files), &files) == files);
    assert!(unzip(&by_python("DEFLATED", "seekable", "narrow", &files), &files) == files);
}

#[test]
fn the_empty_folder_of_python_is_read() {
    let files = Files::from([("./".to_owned(), Vec::new())]);
    assert!(unzip(&by_python("STORED", "streamed", "narrow", &files), &files).is_empty());
}

#[test]
fn what_is_written_is_read_by_python() {
    let files = odd_files();
    let lines = String::from_utf8(python(READ, &[], zip(&files))).unwrap();
    let expected: Vec<String> = files
        .iter()
        .map(|(name, data)| {
            let mode = if name.ends_with('/') { "40755" } else { "100640" };
            format!("{name}\t{mode}\t{}\n", hex(data))
        })
        .collect();
    assert!(lines == expected.concat());
}

#[test]
fn more_entries_than_sixteen_bits_count_are_written_and_read() {
    for count in [65_534, 65_535] {
        let files: Files = (0..count).map(|it| (format!("{it:x}"), Vec::new())).collect();
        let stream = zip(&files);
        assert_eq!(unzip_by(16 << 10, &stream, &files).len(), count);
        let counted = python(
            "import io, sys, zipfile; print(len(zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())).namelist()))",
            &[],
            stream,
        );
        assert_eq!(counted, format!("{count}\n").into_bytes());
    }
}

#[test]
fn unzip_finds_no_fault_with_what_is_written() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&zip(&odd_files())).unwrap();
    let output =
        Command::new("unzip").arg("-t").arg(file.path()).output().expect("unzip is needed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("No errors detected"), "{text}");
}

/// Only counts.
#[derive(Default)]
struct Count {
    bytes: u64,
}

impl Sink for Count {
    type Error = std::convert::Infallible;

    fn folder(&mut self, _: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }

    fn begin(&mut self, _: &Entry<'_>) -> Result<(), Self::Error> {
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Writes members of these sizes, all zeros, and reads them at once; nothing is kept.
fn pass_zeros(sizes: &[u64]) -> Totals {
    let members: Vec<Member> = sizes
        .iter()
        .enumerate()
        .map(|(index, size)| Member {
            name: format!("{index}.bin"),
            kind: Kind::File { size: *size },
            mode: 0o644,
        })
        .collect();
    let promised = zip_size(&members);
    let announced = Announced { bytes: sizes.iter().sum(), files: sizes.len() as u64 };
    let (mut writer, mut reader) = (ZipWriter::new(members), ZipReader::new(announced));
    let (mut count, mut length) = (Count::default(), 0);
    let mut pass = |bytes: &[u8]| -> Result<(), UnzipError<_>> {
        length += bytes.len() as u64;
        reader.push(bytes, &mut count)
    };
    let zeros = vec![0; 1 << 20];
    while let Some((index, header)) = writer.begin() {
        pass(&header).unwrap();
        let mut left = usize::try_from(sizes[index]).unwrap();
        while left > 0 {
            let piece = &zeros[..left.min(zeros.len())];
            writer.data(piece).unwrap();
            pass(piece).unwrap();
            left -= piece.len();
        }
        pass(&writer.end().unwrap()).unwrap();
    }
    pass(&writer.finish()).unwrap();
    assert_eq!(length, promised);
    assert_eq!(count.bytes, announced.bytes);
    reader.finish().unwrap()
}

#[test]
fn files_and_offsets_beyond_four_gigabytes_are_written_and_read() {
    let totals = pass_zeros(&[5, 5 << 30, 7]);
    assert_eq!(totals, Totals { files: 3, folders: 0, bytes: (5 << 30) + 12 });
}
