//! What a client likes best, by `Accept` and the fields like it (RFC 9110 §12.4, §12.5).
//!
//! Pure: takes fields and the names of what can be offered. Names have no case.

use http::{HeaderMap, HeaderValue, header};

/// How much a client likes something, in thousandths; 0 is not at all.
pub(crate) type Quality = u32;

/// How much a client likes a media type, beside others: the greatest is the one to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Liking {
    quality: Quality,
    /// Of two that it likes equally, a client means the one that it names: browsers and `axios` end theirs in `*/*`. What it
    /// does not speak of comes before what it refuses.
    closeness: Closeness,
}

/// How closely what a client asks for names a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Refused,
    NotAtAll,
    /// `*/*`.
    ByAny,
    /// `text/*`.
    ByKind,
    /// `text/html`.
    ByName,
}

/// How much a client likes a media type. Of ranges that it lies in, the closest counts (§12.5.1); what else a range says of a type's
/// parameters does not, since nothing here is offered in two forms of one type.
pub(crate) fn liking(fields: &HeaderMap, media_type: &str) -> Liking {
    let ranges = items(fields.get_all(header::ACCEPT));
    let closest =
        ranges.filter_map(|(it, quality)| Some((closeness(it, media_type)?, quality))).max();
    match closest {
        None => Liking { quality: 0, closeness: Closeness::NotAtAll },
        Some((_, 0)) => Liking { quality: 0, closeness: Closeness::Refused },
        Some((closeness, quality)) => Liking { quality, closeness },
    }
}

fn closeness(range: &str, media_type: &str) -> Option<Closeness> {
    if range.eq_ignore_ascii_case(media_type) {
        return Some(Closeness::ByName);
    }
    let (kind, _) = media_type.split_once('/')?;
    match range.strip_suffix("/*")? {
        "*" => Some(Closeness::ByAny),
        it => it.eq_ignore_ascii_case(kind).then_some(Closeness::ByKind),
    }
}

/// How much a client likes what it names in a field; none where it does not.
pub(crate) fn named<'a>(
    values: impl IntoIterator<Item = &'a HeaderValue>,
    name: &str,
) -> Option<Quality> {
    items(values).find_map(|(it, quality)| it.eq_ignore_ascii_case(name).then_some(quality))
}

/// What a field names, and how much of each a client likes.
fn items<'a>(
    values: impl IntoIterator<Item = &'a HeaderValue>,
) -> impl Iterator<Item = (&'a str, Quality)> {
    let values = values.into_iter().filter_map(|it| it.to_str().ok());
    values.flat_map(|it| it.split(',')).map(|item| {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        (name.trim(), quality(parameters))
    })
}

/// A `q` parameter (§12.4.2) in thousandths; 1000 if there is none, 0 if it can't be read.
fn quality(parameters: &str) -> Quality {
    let mut parameters = parameters.split(';').map(str::trim);
    let q = parameters.find_map(|it| it.strip_prefix("q=").or_else(|| it.strip_prefix("Q=")));
    let Some(q) = q else { return 1000 };
    match q.parse::<f32>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between 0 and 1000"
        )]
        Ok(q) if (0.0..=1.0).contains(&q) => (q * 1000.0).round() as Quality,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(accept: &[&str]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for value in accept {
            fields.append(header::ACCEPT, value.parse().unwrap());
        }
        fields
    }

    #[test]
    fn the_greatest_liking_is_for_what_the_client_wants() {
        // Whether HTML is liked better than JSON, as well, or less.
        use std::cmp::Ordering::{Equal, Greater, Less};
        let check = |accept: &[&str], expected| {
            let fields = fields(accept);
            let liking = |it| liking(&fields, it);
            assert_eq!(
                liking("text/html").cmp(&liking("application/json")),
                expected,
                "{accept:?}"
            );
        };
        check(&[], Equal);
        check(&[""], Equal);
        check(&["*/*"], Equal);
        check(&["image/png"], Equal);
        check(&["text/html"], Greater);
        check(&["TEXT/HTML"], Greater);
        check(&["Text/*"], Greater);
        check(&["image/png", "text/html"], Greater);
        check(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Greater);
        check(&["text/html, */*"], Greater);
        check(&["application/json"], Less);
        check(&["application/*"], Less);
        check(&["application/json, text/plain, */*"], Less);
        check(&["application/json, text/html;q=0.1"], Less);
        check(&["text/html;q=0.1", "application/json"], Less);
        check(&["text/html;q=0.9;x=y,application/json;x=y;q=0.8"], Greater);
        check(&["text/html;q=0.8 , application/json ; Q=0.9"], Less);
        check(&["application/json, text/html"], Equal);
        // What is refused, and what is not spoken of.
        check(&["text/html;q=0"], Less);
        check(&["application/json;q=0"], Greater);
        check(&["text/html;q=0, */*"], Less);
        check(&["text/html;q=0, application/json;q=0"], Equal);
        check(&["*/*;q=0"], Equal);
        check(&["text/*;q=0, text/html"], Greater);
        check(&["text/*, text/html;q=0"], Less);
        // Not the same.
        check(&["text/html5"], Equal);
        check(&["text/htm"], Equal);
        check(&["texts/*"], Equal);
        check(&["text/html;q=2, application/json;q=0.1"], Less);
        check(&["text/html;q=odd, application/json;q=0.1"], Less);
        // Of the versions of one type, that which is liked best.
        check(&["text/html;level=1;q=0.1, text/html;q=0.9, application/json;q=0.5"], Greater);
    }

    #[test]
    fn what_is_named_is_found_whatever_its_case() {
        let fields = fields(&["gzip;q=0.5, BR", "zstd;q=0"]);
        let named = |name| named(fields.get_all(header::ACCEPT), name);
        assert_eq!([named("gzip"), named("br"), named("zstd")], [Some(500), Some(1000), Some(0)]);
        assert_eq!(named("*"), None);
    }
}
