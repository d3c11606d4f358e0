//! The cost of a look-up before the disk is read: parsing a path and finding a key.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::Criterion;
use volume::RelPath;
use volume::keys::{Keys, PlainKey};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    paths(&mut criterion);
    keys(&mut criterion);
    criterion.final_summary();
}

fn paths(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("RelPath::from_url");
    for (name, text) in [
        ("plain", "riverton-1pct/ITERS/it.100/100.events.xml.gz"),
        ("escaped", "m%C3%BCnchen%20v2/ITERS/it.100/100.link%20volumes.csv.gz"),
        ("refused", "riverton-1pct/ITERS/../../../etc/passwd"),
    ] {
        group.bench_function(name, |it| it.iter(|| RelPath::from_url(black_box(text))));
    }
    group.finish();
}

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("Keys");
    for count in [1, 100, 10_000] {
        let mut text = String::new();
        for number in 0..count {
            writeln!(text, "user{number},user{number}-0123456789abcdefghijklmnopqrst,read")
                .unwrap_or_default();
        }
        let keys = Keys::parse(text.as_bytes());
        let right = PlainKey::new(b"user0-0123456789abcdefghijklmnopqrst");
        let wrong = PlainKey::new(b"user0-0123456789abcdefghijklmnopqrsT");
        // The same time for all keys, valid or not: the duration reveals nothing.
        group.bench_function(format!("right, of {count}"), |it| {
            it.iter(|| keys.verify(black_box(&right)).is_some());
        });
        group.bench_function(format!("wrong, of {count}"), |it| {
            it.iter(|| keys.verify(black_box(&wrong)).is_some());
        });
        let hashed = right.hash();
        group.bench_function(format!("find by hash, of {count}"), |it| {
            it.iter(|| keys.find(black_box(hashed)).is_some());
        });
    }
    group.finish();
}
