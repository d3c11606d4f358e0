//! `Upload-Metadata` (tus 1.0, *Creation*), and the upload's target that follows from it.
//!
//! Pure. Uppy, tus-js-client and tuspy send `filename`. Clients that upload folders also send `relativePath`, which ends in the file's
//! name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use volume::OnConflict;
use volume::uploads::UploadTarget;
use volume::{Refusal, RelPath};

use crate::extract::query;
use crate::http::tus_headers::UPLOAD_METADATA;
use crate::problem::Problem;

/// Names and decoded values.
#[derive(Debug, Default)]
pub(crate) struct Metadata(Vec<(String, Vec<u8>)>);

impl Metadata {
    /// The metadata in a request's header.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Metadata, Problem> {
        let bad = |what: &str| Problem::BadField(format!("`Upload-Metadata`: {what}."));
        let Some(value) = headers.get(UPLOAD_METADATA) else { return Ok(Metadata::default()) };
        let text = value.to_str().map_err(|_malformed| bad("it is not text"))?;
        let mut pairs = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
            let value = STANDARD
                .decode(value.trim())
                .map_err(|_malformed| bad(&format!("the value of `{key}` is not in base64")))?;
            pairs.push((key.to_owned(), value));
        }
        Ok(Metadata(pairs))
    }

    /// The target of the upload. `into` and `exists` in the URL's query take precedence over the metadata.
    pub(crate) fn target(&self, query: Option<&str>) -> Result<UploadTarget, Problem> {
        let mut path = match query::value(query, "into") {
            None => RelPath::root(),
            Some(folder) => RelPath::normalize(&folder)?,
        };
        let name = self.value("filename").or_else(|| self.value("name"));
        match (self.value("relativePath"), name) {
            (Some(relative), name) => {
                let names = RelPath::normalize(relative)?;
                for part in names.names() {
                    path = path.join(part)?;
                }
                // With a slash at the end, it names only the folder.
                let end = relative.rsplit(|it| *it == b'/').next();
                if matches!(end, None | Some(b"" | b".")) {
                    path = path.join(name.ok_or(Refusal::EmptyName)?)?;
                }
            }
            (None, Some(name)) => path = path.join(name)?,
            (None, None) => {
                return Err(Problem::BadField(
                    "`Upload-Metadata` says neither `filename` nor `relativePath`, so the upload has no name.".to_owned(),
                ));
            }
        }
        let exists = match (query::on_conflict(query)?, self.value("exists")) {
            (Some(exists), _) => exists,
            (None, Some(value)) => query::parse_on_conflict(value)?,
            (None, None) => OnConflict::Refuse,
        };
        Ok(UploadTarget { path, exists })
    }

    /// A value, unless it is empty or one of the words that a browser's client sends for a missing value.
    fn value(&self, key: &str) -> Option<&[u8]> {
        let (_, value) = self.0.iter().find(|(it, _)| it == key)?;
        (!matches!(value.as_slice(), b"" | b"null" | b"undefined")).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(pairs: &[(&str, &str)], query: &str) -> Result<(String, OnConflict), Problem> {
        let pairs: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect();
        let headers = HeaderMap::from_iter([(UPLOAD_METADATA, pairs.join(",").parse().unwrap())]);
        let target = Metadata::of(&headers)?.target(Some(query))?;
        Ok((target.path.to_url(), target.exists))
    }

    #[test]
    fn name_and_path_choose_the_target() {
        let check = |pairs: &[(&str, &str)], query: &str, expected: &str| {
            let target = target(pairs, query).map(|(path, _)| path).ok();
            assert_eq!(target.as_deref(), Some(expected), "{pairs:?} {query}");
        };
        check(&[("filename", "a b.csv")], "", "a%20b.csv");
        check(&[("name", "a.csv"), ("filetype", "text/csv")], "", "a.csv");
        check(&[("filename", "a.csv"), ("relativePath", "null")], "", "a.csv");
        check(&[("filename", "a.csv"), ("relativePath", "")], "", "a.csv");
        check(&[("filename", "a.csv"), ("relativePath", "run/x/a.csv")], "", "run/x/a.csv");
        check(&[("filename", "a.csv"), ("relativePath", "/run/a.csv")], "", "run/a.csv");
        check(&[("filename", "a.csv"), ("relativePath", "run/x/")], "", "run/x/a.csv");
        check(&[("filename", "a.csv"), ("relativePath", "./run//x/./a.csv")], "", "run/x/a.csv");
        check(&[("filename", "a.csv"), ("relativePath", ".")], "into=berlin", "berlin/a.csv");
        check(&[("filename", "a.csv")], "into=berlin/run-7/", "berlin/run-7/a.csv");
        check(&[("filename", "a.csv")], "into=/berlin//./run-7", "berlin/run-7/a.csv");
        check(&[("filename", "a.csv")], "into=berlin%2Frun-7", "berlin/run-7/a.csv");
        check(&[("relativePath", "run/a.csv")], "into=berlin", "berlin/run/a.csv");
        check(&[("filename", "ä.csv")], "into=k%C3%B6ln+1", "k%C3%B6ln%201/%C3%A4.csv");
    }

    #[test]
    fn what_gives_no_path_is_refused() {
        for (pairs, query) in [
            (&[][..], ""),
            (&[("filetype", "text/csv")], ""),
            (&[("filename", "a/b.csv")], ""),
            (&[("filename", "..")], ""),
            (&[("filename", ".hidden")], ""),
            (&[("relativePath", "../a.csv")], ""),
            (&[("relativePath", "run/./../a.csv")], ""),
            (&[("relativePath", "run/")], ""),
            (&[("relativePath", "/")], ""),
            (&[("filename", "./a.csv")], ""),
            (&[("filename", "a.csv")], "into=.sounding"),
            (&[("filename", "a.csv")], "into=../x"),
            (&[("filename", "a.csv")], "exists=perhaps"),
        ] {
            assert!(target(pairs, query).is_err(), "{pairs:?} {query}");
        }
        let headers = HeaderMap::from_iter([(UPLOAD_METADATA, "filename !".parse().unwrap())]);
        assert!(Metadata::of(&headers).is_err());
    }

    #[test]
    fn what_is_there_stays_unless_the_client_says_otherwise() {
        let exists = |pairs: &[(&str, &str)], query: &str| target(pairs, query).unwrap().1;
        assert_eq!(exists(&[("filename", "a")], ""), OnConflict::Refuse);
        assert_eq!(exists(&[("filename", "a"), ("exists", "replace")], ""), OnConflict::Replace);
        assert_eq!(exists(&[("filename", "a"), ("exists", "null")], ""), OnConflict::Refuse);
        assert_eq!(
            exists(&[("filename", "a"), ("exists", "replace")], "exists=keep-both"),
            OnConflict::KeepBoth
        );
    }
}
