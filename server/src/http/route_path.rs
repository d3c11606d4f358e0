//! Where a request's path begins, as far as it says which route it is for.
//!
//! Clients join an address that ends in `/` with a path that begins with one. So empty names and `.` are left out in front of a route, and
//! in front of the key or number that follows it, as [`Visit`](crate::extract::path::AuthorizedPath) leaves them out of the path of a file. Pure.

use http::Uri;

/// Routes of which the next name is no file's: a key, or an upload's number.
const WITH_NAME: [&str; 2] = ["/share", "/uploads"];

/// The same address without those; none where it has none of them.
pub(crate) fn cleaned(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let start = skip(path);
    let named = WITH_NAME.into_iter().find_map(|route| {
        let rest = start.strip_prefix(route).filter(|it| it.starts_with('/'))?;
        Some((route, skip(rest)))
    });
    let (route, rest) = named.unwrap_or(("", start));
    if route.len() + rest.len() == path.len() {
        return None;
    }
    let query = uri.query().map(|it| format!("?{it}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{route}{rest}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// A path from the slash before its first name that is not left out.
fn skip(path: &str) -> &str {
    let mut rest = path;
    loop {
        let behind = ["/", "/.", "/%2e", "/%2E"]
            .into_iter()
            .find_map(|it| rest.strip_prefix(it).filter(|it| it.starts_with('/')));
        match behind {
            Some(it) => rest = it,
            None => return rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_behind_what_is_left_out() {
        let check = |written: &str, expected: Option<&str>| {
            let uri = written.parse().unwrap();
            assert_eq!(cleaned(&uri).map(|it| it.to_string()).as_deref(), expected, "{written}");
        };
        for fine in [
            "/",
            "/files",
            "/files/",
            "/files//a",
            "/files/./a",
            "/share/",
            "/share/k/a",
            "/share/k//a",
            "/shared//a",
            "/.a/b",
            "/..//files",
            "/uploads",
            "/uploads/1",
            "*",
            "/%2F",
            "/health?a=//b",
        ] {
            check(fine, None);
        }
        check("//", Some("/"));
        check("//files/a//b", Some("/files/a//b"));
        check("/.//%2e/%2E/files/a", Some("/files/a"));
        check("//files/?format=json", Some("/files/?format=json"));
        check("/share//k/./a", Some("/share/k/./a"));
        check("//share/./k", Some("/share/k"));
        check("/uploads//1", Some("/uploads/1"));
        check("///health", Some("/health"));
        check("http://a.example//files/a?b", Some("http://a.example/files/a?b"));
    }
}
