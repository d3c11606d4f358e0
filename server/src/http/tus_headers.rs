//! The header fields of tus 1.0.0 (<https://tus.io/protocols/resumable-upload>), and the words that stand in them.

use http::HeaderName;

/// The version that is spoken.
pub(crate) const VERSION: &str = "1.0.0";
/// The extensions that are spoken.
pub(crate) const EXTENSIONS: &str =
    "creation,creation-with-upload,termination,checksum,expiration,concatenation";
/// The protocol's own, and the one that clients made of `openapi.json` can send.
pub(crate) const CONTENT_TYPES: [&str; 2] =
    ["application/offset+octet-stream", "application/octet-stream"];

/// The version that a message is in.
pub(crate) const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
/// The version that is spoken, for a client that speaks another.
pub(crate) const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
/// The extensions that the server speaks.
pub(crate) const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
/// The digests that the server reckons.
pub(crate) const TUS_CHECKSUM_ALGORITHM: HeaderName =
    HeaderName::from_static("tus-checksum-algorithm");
/// Bytes of the whole upload.
pub(crate) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// What the client says of its upload.
pub(crate) const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// When an upload that nobody goes on with is removed.
pub(crate) const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// Whether an upload is a part, or is joined from parts.
pub(crate) const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");
/// The length is told later.
pub(crate) const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
/// The method that is meant, for clients that can send only `POST`.
pub(crate) const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
/// Bytes that have come.
pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
