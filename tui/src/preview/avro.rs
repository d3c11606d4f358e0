//! Avro object container files (Avro specification 1.12, "Object Container Files"): the schema stands in the header.

use serde_json::Value;

use super::{Body, Preview, broken};
use crate::text;

pub(super) fn look(bytes: &[u8]) -> Preview {
    let Some(metadata) = metadata(bytes) else {
        return broken("its header");
    };
    let of = |key: &str| metadata.iter().find(|it| it.0 == key.as_bytes()).map(|it| it.1);
    let codec = of("avro.codec").map_or("null".to_owned(), text::escape);
    let schema: Value = match serde_json::from_slice(of("avro.schema").unwrap_or_default()) {
        Ok(schema) => schema,
        Err(_) => return broken("its schema"),
    };
    let name = at(&schema, "name").as_str().unwrap_or("record");
    let fields = at(&schema, "fields").as_array().map_or(&[][..], Vec::as_slice);
    let facts = vec![
        format!("avro  {}", text::escape(name.as_bytes())),
        format!("{}, codec {codec}", text::things(fields.len() as u64, "field", "fields")),
    ];
    let row = |it: &Value| {
        let name = text::escape(at(it, "name").as_str().unwrap_or_default().as_bytes());
        vec![name, text::escape(type_of(at(it, "type")).as_bytes())]
    };
    let header = vec!["field".to_owned(), "type".to_owned()];
    let rows = std::iter::once(header).chain(fields.iter().map(row)).collect();
    Preview { facts, body: Body::Table(rows), ..Preview::default() }
}

/// What a key of an object says; null where it says nothing.
fn at<'a>(schema: &'a Value, key: &str) -> &'a Value {
    schema.get(key).unwrap_or(&Value::Null)
}

fn type_of(schema: &Value) -> String {
    match schema {
        Value::String(name) => name.clone(),
        Value::Array(union) => union.iter().map(type_of).collect::<Vec<_>>().join(" or "),
        Value::Object(_) => match at(schema, "type").as_str() {
            Some("array") => format!("list of {}", type_of(at(schema, "items"))),
            Some("map") => format!("map of {}", type_of(at(schema, "values"))),
            Some(name) => name.to_owned(),
            None => type_of(at(schema, "type")),
        },
        _ => "?".to_owned(),
    }
}

/// The header's map of bytes.
fn metadata(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut rest = bytes.strip_prefix(b"Obj\x01")?;
    let mut all = Vec::new();
    loop {
        let count = long(&mut rest)?;
        if count == 0 {
            return Some(all);
        }
        if count < 0 {
            // The block's length in bytes follows.
            long(&mut rest)?;
        }
        for _ in 0..count.unsigned_abs() {
            all.push((string(&mut rest)?, string(&mut rest)?));
        }
    }
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(long(rest)?).ok()?;
    let (string, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(string)
}

/// Variable length, zig-zag.
fn long(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return i64::try_from(value >> 1)
                .ok()
                .map(|it| if value & 1 == 0 { it } else { -it - 1 });
        }
    }
    None
}
