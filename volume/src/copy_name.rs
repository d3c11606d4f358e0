//! The part of a name that shows a file's type, and the name for a copy beside one that is taken.

/// The endings of compressed files. They follow the ending of what was compressed.
const CODINGS: [&[u8]; 6] = [b".gz", b".zst", b".bz2", b".xz", b".br", b".lz4"];

/// The part of a name that shows a file's type, with its dot: `.csv.gz` for `trips.csv.gz`. Empty where there is none.
pub fn ending(name: &[u8]) -> &[u8] {
    let last_dot = |text: &[u8]| text.iter().rposition(|it| *it == b'.').filter(|it| *it > 0);
    let Some(last) = last_dot(name) else { return b"" };
    let (stem, end) = name.split_at(last);
    let before = last_dot(stem).filter(|_| CODINGS.contains(&end));
    name.get(before.unwrap_or(last)..).unwrap_or_default()
}

/// The name to try for the second thing, the third, and so on, where a name is taken: `trips.csv.gz` becomes `trips (2).csv.gz`, so the
/// type stays at the end. A folder's number goes at its end: the dot in `output-v6.4` begins no type.
pub fn beside(name: &[u8], is_folder: bool, copy: u32) -> Vec<u8> {
    let end = if is_folder { &[][..] } else { ending(name) };
    let stem = name.strip_suffix(end).unwrap_or(name);
    [stem, format!(" ({copy})").as_bytes(), end].concat()
}

/// The same for a file.
pub(crate) fn numbered(name: &[u8], copy: u32) -> Vec<u8> {
    beside(name, false, copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_the_type_includes_the_packing() {
        let check = |name: &str, expected: &str| {
            assert_eq!(ending(name.as_bytes()), expected.as_bytes(), "{name}");
        };
        check("trips.csv", ".csv");
        check("README", "");
        check(".zarray", "");
        for coding in ["gz", "zst", "bz2", "xz", "br", "lz4"] {
            check(&format!("trips.csv.{coding}"), &format!(".csv.{coding}"));
            check(&format!("x.{coding}"), &format!(".{coding}"));
        }
    }

    #[test]
    fn a_folder_is_numbered_at_its_end() {
        assert_eq!(beside(b"output-v6.4", true, 2), b"output-v6.4 (2)");
    }

    #[test]
    fn a_second_copy_keeps_what_tells_its_type() {
        let check = |name: &str, expected: &str| {
            assert_eq!(String::from_utf8(numbered(name.as_bytes(), 2)).unwrap(), expected);
        };
        check("trips.csv", "trips (2).csv");
        check("trips.csv.gz", "trips (2).csv.gz");
        check("v6.4 trips.csv", "v6.4 trips (2).csv");
        check("README", "README (2)");
        check("x.gz", "x (2).gz");
        check(".zarray", ".zarray (2)");
    }
}
