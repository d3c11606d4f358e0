//! Cleans the beginning of a request's path, up to its route.
//!
//! Clients join a base URL that ends in `/` with a path that begins with `/`. So empty segments and `.` are removed before a route, and
//! before the key or upload ID after it, just as [`AuthorizedPath`](crate::extract::path::AuthorizedPath) ignores them in the path of a
//! file. Pure.

use http::Uri;

/// Routes whose next segment is not a file's name, but a key or an upload ID.
const WITH_NAME: [&str; 2] = ["/share", "/uploads"];

/// The URI without these segments. `None` if it has none of them.
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

/// Skips leading segments that are empty or `.`. The result begins with a slash.
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
