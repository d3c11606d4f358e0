//! Media types, by a file's name.
//!
//! The file types of simulations are listed here, with registered media types where they exist. For all others, a library's table is used.
//! Only the name counts: a file is never opened to guess its type.

/// Media types by a name's last extension.
const TYPES: [(&str, &str); 45] = [
    ("arrow", "application/vnd.apache.arrow.file"),
    ("avro", "application/avro"),
    ("bz2", "application/x-bzip2"),
    ("cpg", "text/plain"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("dbf", "application/vnd.dbf"),
    ("duckdb", "application/vnd.duckdb"),
    ("feather", "application/vnd.apache.arrow.file"),
    ("fgb", "application/flatgeobuf"),
    ("geojson", "application/geo+json"),
    ("geojsonl", "application/geo+json-seq"),
    ("glb", "model/gltf-binary"),
    ("gpkg", "application/geopackage+sqlite3"),
    ("gz", "application/gzip"),
    ("h5", "application/x-hdf5"),
    ("hdf5", "application/x-hdf5"),
    ("html", "text/html"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("nc", "application/x-netcdf"),
    ("ndjson", "application/x-ndjson"),
    ("omx", "application/x-hdf5"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pbf", "application/x-protobuf"),
    ("pmtiles", "application/vnd.pmtiles"),
    ("prj", "text/plain"),
    ("py", "text/x-python"),
    ("r", "text/plain"),
    ("shp", "application/vnd.shp"),
    ("shx", "application/vnd.shx"),
    ("sqlite", "application/vnd.sqlite3"),
    ("sqlite3", "application/vnd.sqlite3"),
    ("svg", "image/svg+xml"),
    ("toml", "application/toml"),
    ("tsv", "text/tab-separated-values"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
];

const UNKNOWN: &str = "application/octet-stream";

/// Media types outside `text/` that shrink when compressed.
const TEXTUAL: [&str; 12] = [
    "application/geo+json",
    "application/geo+json-seq",
    "application/javascript",
    "application/json",
    "application/jsonl",
    "application/toml",
    "application/wasm",
    "application/x-ndjson",
    "application/xhtml+xml",
    "application/xml",
    "application/yaml",
    "image/svg+xml",
];

/// Media types in which a browser runs scripts that the file contains.
const ACTIVE: [&str; 5] =
    ["application/xhtml+xml", "application/xml", "image/svg+xml", "text/html", "text/xml"];

/// A media type (RFC 9110 §8.3.1), without parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MediaType(&'static str);

impl MediaType {
    /// The media type for a file's name.
    pub(crate) fn of_name(name: &[u8]) -> MediaType {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let Some((_, extension)) = name.rsplit_once('.') else { return MediaType(UNKNOWN) };
        let known = TYPES.binary_search_by(|(it, _)| (*it).cmp(extension)).ok();
        let known = known.and_then(|it| TYPES.get(it)).map(|(_, media_type)| *media_type);
        let guessed = || mime_guess::from_ext(extension).first_raw();
        MediaType(known.or_else(guessed).unwrap_or(UNKNOWN))
    }

    /// The value of `Content-Type`. Text is labelled UTF-8, which is what simulations write.
    pub(crate) fn content_type(self) -> String {
        if self.0.starts_with("text/") {
            format!("{}; charset=utf-8", self.0)
        } else {
            self.0.to_owned()
        }
    }

    /// Whether files of this type shrink when compressed. Unknown types count as not compressible.
    pub(crate) fn is_compressible(self) -> bool {
        self.0.starts_with("text/") || TEXTUAL.contains(&self.0)
    }

    /// Whether a browser might run scripts in a file of this type.
    pub(crate) fn is_active(self) -> bool {
        ACTIVE.contains(&self.0) || self.0.ends_with("+xml")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_as_its_search_needs() {
        assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn names_announce_types() {
        let check = |name: &str, expected: &str| {
            assert_eq!(MediaType::of_name(name.as_bytes()).content_type(), expected, "{name}");
        };
        check("output_trips.csv", "text/csv; charset=utf-8");
        check("output_trips.csv.gz", "application/gzip");
        check("OUTPUT.XML.GZ", "application/gzip");
        check("a.parquet", "application/vnd.apache.parquet");
        check("a.GeoJSON", "application/geo+json");
        check("a.pmtiles", "application/vnd.pmtiles");
        check("a.omx", "application/x-hdf5");
        check("a.h5", "application/x-hdf5");
        check("a.avro", "application/avro");
        check("a.sqlite", "application/vnd.sqlite3");
        check("a.gpkg", "application/geopackage+sqlite3");
        check("a.shp", "application/vnd.shp");
        check("a.dbf", "application/vnd.dbf");
        check("a.fgb", "application/flatgeobuf");
        check("dashboard-1.yaml", "application/yaml");
        check("a.wasm", "application/wasm");
        check("a.png", "image/png");
        check("a.pdf", "application/pdf");
        check("a.svg", "image/svg+xml");
        check("a.mp4", "video/mp4");
        check("a.zip", "application/zip");
        check("a.unheard-of", "application/octet-stream");
        check("README", "application/octet-stream");
        check(".zarray", "application/octet-stream");
    }

    #[test]
    fn what_is_compressed_already_is_not_compressed_again() {
        for name in [
            "a.gz",
            "a.parquet",
            "a.pmtiles",
            "a.omx",
            "a.avro",
            "a.sqlite",
            "a.png",
            "a.zip",
            "a.fgb",
            "a",
        ] {
            assert!(!MediaType::of_name(name.as_bytes()).is_compressible(), "{name}");
        }
        for name in ["a.csv", "a.json", "a.geojson", "a.xml", "a.yaml", "a.svg", "a.md", "a.html"] {
            assert!(MediaType::of_name(name.as_bytes()).is_compressible(), "{name}");
        }
    }
}
