//! A look into files of all formats, written by the formats' own libraries.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use proptest::prelude::*;
use sounding::preview::pages::{Page, Where};
use sounding::preview::{Body, Preview, Whole, preview, whole};
use tempfile::TempDir;

fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let here = env!("CARGO_MANIFEST_DIR");
        let python = format!("{here}/../target/clients/venv/bin/python");
        let script = format!("{here}/tests/clients/formats.py");
        let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}: run .ci/setup.sh first");
        folder
    });
    folder.path()
}

fn look(name: &str) -> Preview {
    let file = File::open(folder().join(name)).unwrap();
    let len = file.metadata().unwrap().len();
    preview(&file, name.as_bytes(), len)
}

fn first_page(name: &str) -> Page {
    let file = File::open(folder().join(name)).unwrap();
    let len = file.metadata().unwrap().len();
    match whole(file, name.as_bytes(), len, (80, 20)).unwrap() {
        Whole::Pages(mut pages) => {
            pages.page(Where::From(0), 10, &mut |_| ControlFlow::Continue(())).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

fn table(preview: &Preview) -> Vec<Vec<&str>> {
    match &preview.body {
        Body::Table(rows) => {
            rows.iter().map(|it| it.iter().map(String::as_str).collect()).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn lines(preview: &Preview) -> &[String] {
    match &preview.body {
        Body::Lines(lines) => lines,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tables_of_values_are_tables() {
    for name in ["trips.csv", "trips.csv.gz"] {
        let seen = look(name);
        let fact = &seen.facts[0];
        let about: u64 =
            fact.split_once("about ").unwrap().1.replace(",000 rows", "000").parse().unwrap();
        assert!(
            fact.starts_with("24 columns, ") && (15_000..=25_000).contains(&about),
            "{name}: {fact}"
        );
        assert_eq!(table(&seen)[1][2], "0_2");
        assert!(seen.trouble.is_none() && seen.read == 64 << 10, "{seen:?}");
    }
    let seen = look("semicolons.csv");
    assert_eq!((seen.facts[0].as_str(), table(&seen)[1][1]), ("2 columns, 2 rows", "a;b"));
    assert_eq!(table(&look("tabs.tsv"))[1], ["1", "a"]);
    assert_eq!(look("empty.csv").facts, ["empty"]);
}

#[test]
fn text_of_another_encoding_is_text_and_says_which() {
    for name in ["latin1.csv", "latin1.csv.gz"] {
        let seen = look(name);
        assert_eq!(seen.facts, ["2 columns, 3 rows", "text in Latin-1"], "{name}");
        assert_eq!(
            table(&seen)[1..],
            [["1", "Z\u{fc}rich"], ["2", "K\u{f6}ln"], ["3", "Gen\u{e8}ve"]]
        );
    }
    let seen = look("unicode.tsv");
    assert_eq!(seen.facts, ["2 columns, 1 row", "text in UTF-16"]);
    assert_eq!(table(&seen), [["id", "Stadt"], ["1", "Z\u{fc}rich"]]);
    let seen = look("windows.txt");
    assert_eq!(seen.facts, ["text in Windows-1252"]);
    assert_eq!(lines(&seen), ["5 \u{20ac} \u{2013} 7 \u{20ac}, gr\u{f6}\u{df}er"]);
    let seen = look("marked.csv");
    assert_eq!(seen.facts, ["2 columns, 1 row", "text in UTF-8 with a byte order mark"]);
    assert_eq!(table(&seen)[0], ["id", "name"], "the mark is no part of the first name");
    for (name, encoding, line) in [
        ("latin1.csv.gz", Some("Latin-1"), "1;Z\u{fc}rich"),
        ("unicode.tsv", Some("UTF-16"), "1    Z\u{fc}rich"),
        ("semicolons.csv", None, "1;\"a;b\""),
    ] {
        let page = first_page(name);
        assert_eq!((page.encoding, page.lines[1].1.as_str()), (encoding, line), "{name}");
    }
}

#[test]
fn a_name_that_says_gzip_of_what_is_not_is_warned_of() {
    let seen = look("no-gzip.csv.gz");
    assert_eq!(seen.trouble.as_deref(), Some("its name ends in .gz, but it is not gzip"));
    assert_eq!(table(&seen)[1], ["1", "a"]);
    assert_eq!(first_page("no-gzip.csv.gz").trouble, seen.trouble);
}

#[test]
fn a_damaged_picture_is_told_in_a_sentence() {
    for name in ["cut-plot.png", "damaged-plot.png"] {
        let file = File::open(folder().join(name)).unwrap();
        let len = file.metadata().unwrap().len();
        let failed = whole(file, name.as_bytes(), len, (80, 20)).unwrap_err();
        assert_eq!(failed.what, "the picture is damaged or not complete", "{name}");
    }
}

#[test]
fn geojson_tells_where_it_lies() {
    let seen = look("zones.geojson");
    assert_eq!(seen.facts, ["GeoJSON  100 features", "13.000 52.000 to 13.100 52.500"]);
    let seen = look("large.geojson");
    assert!(
        seen.facts[0].ends_with("features as far as read") && seen.trouble.is_none(),
        "{seen:?}"
    );
    assert_eq!(look("list.json").facts, ["JSON  list of 3 items"]);
    assert!(look("broken.json").trouble.unwrap().contains("broken"));
}

#[test]
fn columnar_and_database_files_tell_their_counts() {
    let seen = look("links.parquet");
    assert_eq!(seen.facts, ["parquet  300,000 rows", "2 columns, 3 row groups"]);
    assert_eq!(table(&seen)[1][0], "link");
    assert!(table(&seen)[1][1].starts_with("int64"), "{seen:?}");
    let seen = look("network.avro");
    assert_eq!(seen.facts, ["avro  Link", "3 fields, codec deflate"]);
    assert_eq!(table(&seen)[2..], [["lanes", "null or double"], ["tags", "list of string"]]);
    let seen = look("runs.sqlite");
    assert_eq!(seen.facts, ["SQLite  2 tables"]);
    assert_eq!(table(&seen)[1..], [["od d", "0"], ["run", "1,234"]]);
    let seen = look("run.zip");
    assert_eq!(seen.facts, ["zip  2 entries", "unpacked 100 KB"]);
    assert_eq!(table(&seen)[1], ["run/a.csv", "100 KB"]);
}

#[test]
fn matrices_tell_their_shape() {
    let seen = look("od.omx");
    assert_eq!(
        (seen.facts.as_slice(), &seen.trouble),
        (&["OMX  2 matrices, 40 x 50".to_owned()][..], &None)
    );
    let rows = table(&seen);
    assert!(rows.contains(&vec!["/data/am", "40 x 50", "float64"]), "{rows:?}");
    assert!(rows.contains(&vec!["/data/pm", "40 x 50", "float32"]), "{rows:?}");
    let seen = look("events.h5");
    assert_eq!(seen.facts, ["HDF5  2 datasets"]);
    assert_eq!(
        table(&seen)[1..],
        [["/links/volume", "7 x 3", "int32"], ["/scalar", "one value", "float64"]]
    );
    assert_eq!(table(&look("newer.h5"))[1], ["/counts", "9", "int64"]);
}

#[test]
fn text_pictures_and_the_rest() {
    let seen = look("network.xml.gz");
    assert_eq!(lines(&seen)[..3], [r#"<?xml version="1.0"?>"#, "<network>", "<node/>"]);
    assert_eq!(lines(&look("dashboard.yaml"))[1], "  title: Berlin\\x1b[2J");
    assert_eq!(look("plot.png").facts, ["picture  30 x 20 pixels"]);
    let seen = look("blob.bin");
    let first = |width| seen.body.lines(0, 1, width)[0].clone();
    assert_eq!(first(38), "0000  00 01 02 03 04 05 06 07 ........");
    assert_eq!(first(27), "0000  00 01 02 03 ....", "what has no room is on the next line");
    assert_eq!(first(70), "0000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f ................");
}

#[test]
fn a_broken_file_gives_one_sentence() {
    assert!(look("cut.csv.gz").trouble.unwrap().starts_with("gzip ends early, at 30.0 KB"));
    for name in ["links.parquet", "network.avro", "od.omx", "runs.sqlite", "run.zip", "plot.png"] {
        let seen = look(&format!("cut-{name}"));
        let has_told = seen.trouble.is_some()
            || name == "plot.png"
            || name == "runs.sqlite"
            || name == "network.avro";
        assert!(has_told, "{name}: {seen:?}");
        let seen = look(&format!("wrong-{name}"));
        assert!(seen.trouble.unwrap().contains("does not begin"), "{name}");
    }
}

proptest! {
    #[test]
    fn no_bytes_break_it(
        which in 0_usize..10, at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), cut: prop::sample::Index
    ) {
        let names = [
            "od.omx", "events.h5", "newer.h5", "links.parquet", "network.avro", "runs.sqlite", "run.zip", "plot.png", "zones.geojson", "trips.csv.gz",
        ];
        let name = names[which];
        let mut bytes = std::fs::read(folder().join(name)).unwrap();
        bytes.truncate(64 << 10);
        for (place, value) in at {
            let place = place.index(bytes.len().min(4096));
            bytes[place] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + bytes.len() / 2);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let seen = preview(file.as_file(), name.as_bytes(), bytes.len() as u64);
        prop_assert!(seen.took.as_secs() < 5, "{:?}", seen.took);
    }
}
