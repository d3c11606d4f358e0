//! Content negotiation: a client's preferences in `Accept` and similar fields (RFC 9110 §12.4, §12.5).
//!
//! Pure: takes header fields and the names of what the server offers. Names are not case-sensitive.

use http::{HeaderMap, HeaderValue, header};

/// A quality value in thousandths; 0 means not acceptable.
pub(crate) type Quality = u32;

/// How much a client prefers a media type, comparable with others. The greatest is the one to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Liking {
    quality: Quality,
    /// Decides between equal quality values: a client means the type that it names, since browsers and `axios` end their lists with `*/*`.
    /// A type that the client does not mention is better than one that it refuses.
    closeness: Closeness,
}

/// How precisely a media range matches a media type.
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

/// How much a client prefers a media type. Of all media ranges that match, the most precise one counts (RFC 9110 §12.5.1). Other parameters
/// of a range have no effect, since the server offers each type in one form only.
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

/// A client's quality value for a name in a field's values. `None` if they do not contain it.
pub(crate) fn named<'a>(
    values: impl IntoIterator<Item = &'a HeaderValue>,
    name: &str,
) -> Option<Quality> {
    items(values).find_map(|(it, quality)| it.eq_ignore_ascii_case(name).then_some(quality))
}

/// The names in a field, with the client's quality values.
fn items<'a>(
    values: impl IntoIterator<Item = &'a HeaderValue>,
) -> impl Iterator<Item = (&'a str, Quality)> {
    let values = values.into_iter().filter_map(|it| it.to_str().ok());
    values.flat_map(|it| it.split(',')).map(|item| {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        (name.trim(), quality(parameters))
    })
}

/// The parameter `q` (RFC 9110 §12.4.2) in thousandths: 1000 if there is none, 0 if it is invalid.
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
        // Compares the preference for HTML with that for JSON.
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
        // Refused, and not mentioned.
        check(&["text/html;q=0"], Less);
        check(&["application/json;q=0"], Greater);
        check(&["text/html;q=0, */*"], Less);
        check(&["text/html;q=0, application/json;q=0"], Equal);
        check(&["*/*;q=0"], Equal);
        check(&["text/*;q=0, text/html"], Greater);
        check(&["text/*, text/html;q=0"], Less);
        // Not the same name.
        check(&["text/html5"], Equal);
        check(&["text/htm"], Equal);
        check(&["texts/*"], Equal);
        check(&["text/html;q=2, application/json;q=0.1"], Less);
        check(&["text/html;q=odd, application/json;q=0.1"], Less);
        // The same type with several parameters: the best quality value counts.
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
