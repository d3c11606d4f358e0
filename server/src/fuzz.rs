//! Parsers of client input, for the fuzz targets. Not part of the interface.

use http::header::RANGE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::http::range::{Selection, select};
use crate::http::request_fields::RequestFields;
use crate::net::fast_path::request_head::{MOST_FIELDS, Parsed, RequestHead};
use crate::uploads::tus::metadata::Metadata;

/// A request's head, and bytes after it. What is taken for a plain read must be valid for the `http` crate too.
pub fn head(bytes: &[u8]) {
    let mut room = [const { std::mem::MaybeUninit::uninit() }; MOST_FIELDS];
    let Parsed::Read(head) = RequestHead::parse(bytes, &mut room) else { return };
    assert!(head.len <= bytes.len());
    assert!(head.target.starts_with("/files/") || head.target == "/health");
    let request = head.request();
    if let Some(request) = &request {
        assert_eq!(request.method(), head.method);
        assert!(!request.headers().contains_key(http::header::TRANSFER_ENCODING));
    }
    drop(head.request_fields());
}

/// A `Range` for a file whose length is in the first eight bytes: every selected slice lies within the file.
pub fn range(bytes: &[u8]) {
    let Some((len, value)) = bytes.split_first_chunk::<8>() else { return };
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    // A file's length fits into a signed 64-bit number.
    let len = u64::from_le_bytes(*len) >> 1;
    let slices = match select(RequestFields::new(&HeaderMap::from_iter([(RANGE, value)])), len) {
        Selection::Whole | Selection::Unsatisfiable => return,
        Selection::Slice(slice) => vec![slice],
        Selection::Several(slices) => slices,
    };
    let sum = slices.iter().fold(0u64, |sum, it| sum.saturating_add(it.len));
    assert!(sum <= len, "more than the file");
    for slice in slices {
        assert!(slice.len > 0 && slice.start < len && slice.last() < len);
    }
}

/// `Upload-Metadata`, and after a line break the query of an upload's URL.
pub fn upload_metadata(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |it| *it == b'\n');
    let Ok(value) = HeaderValue::from_bytes(parts.next().unwrap_or_default()) else { return };
    let query = parts.next().and_then(|it| std::str::from_utf8(it).ok());
    let headers = HeaderMap::from_iter([(HeaderName::from_static("upload-metadata"), value)]);
    if let Ok(target) = Metadata::of(&headers).and_then(|it| it.target(query)) {
        assert!(!target.path.is_root(), "an upload has a name");
    }
}
