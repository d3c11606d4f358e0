//! What it costs to understand a request: which bytes of a file it asks for, and whether its conditions let it go on.

use std::hint::black_box;
use std::time::SystemTime;

use criterion::Criterion;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sounding_server::Validators;
use sounding_server::{RequestFields, range};

const LEN: u64 = 4 << 30;
const TAG: &str = "\"0123456789abcdef-0123456789abcdef\"";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    ranges(&mut criterion);
    conditions(&mut criterion);
    criterion.final_summary();
}

fn ranges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("range::select");
    // As many as one request may ask for.
    let several: Vec<String> =
        (0..200u64).map(|it| format!("{}-{}", it << 20, it << 20 | 4095)).collect();
    let several = format!("bytes={}", several.join(","));
    for (name, value) in [
        ("none", None),
        ("one", Some("bytes=1048576-2097151")),
        ("suffix", Some("bytes=-8")),
        ("200 ranges", Some(several.as_str())),
        ("no range", Some("bytes=one-two")),
    ] {
        let headers = fields(value.map(|it| (header::RANGE, it)));
        group.bench_function(name, |it| {
            it.iter(|| range::select(RequestFields::new(black_box(&headers)), LEN));
        });
    }
    group.finish();
}

fn conditions(criterion: &mut Criterion) {
    let validators = Validators { etag: TAG.to_owned(), last_modified: 784_111_777 };
    let now = SystemTime::now();
    let mut group = criterion.benchmark_group("Validators::verdict");
    let list = format!("\"a\", W/\"b\", {TAG}");
    for (name, field) in [
        ("none", None),
        ("the same tag", Some((header::IF_NONE_MATCH, TAG))),
        ("a list of tags", Some((header::IF_NONE_MATCH, list.as_str()))),
        ("a date", Some((header::IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:37 GMT"))),
    ] {
        let headers = fields(field);
        group.bench_function(name, |it| {
            it.iter(|| validators.evaluate(RequestFields::new(black_box(&headers))));
        });
    }
    let headers = fields([(header::IF_RANGE, TAG)]);
    group.bench_function("If-Range", |it| {
        it.iter(|| validators.range_applies(RequestFields::new(black_box(&headers)), now));
    });
    group.finish();
}

/// With what every client sends besides.
fn fields<'a>(more: impl IntoIterator<Item = (HeaderName, &'a str)>) -> HeaderMap {
    let usual = [
        (header::HOST, "127.0.0.1:4999"),
        (header::ACCEPT, "*/*"),
        (header::USER_AGENT, "DuckDB/v1.4.0"),
        (header::AUTHORIZATION, "user0-0123456789abcdefghijklmnopqrst"),
    ];
    let all = usual.into_iter().chain(more);
    all.filter_map(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?))).collect()
}
