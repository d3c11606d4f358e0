//! The header fields of tus 1.0.0 (<https://tus.io/protocols/resumable-upload>), and the values of some of them.

use http::HeaderName;

/// The version of tus that the server implements.
pub(crate) const VERSION: &str = "1.0.0";
/// The extensions of tus that the server implements.
pub(crate) const EXTENSIONS: &str =
    "creation,creation-with-upload,termination,checksum,expiration,concatenation";
/// Content types for bytes of an upload: tus's own, and the one that clients generated from `openapi.json` can send.
pub(crate) const CONTENT_TYPES: [&str; 2] =
    ["application/offset+octet-stream", "application/octet-stream"];

/// The version of tus that a message uses.
pub(crate) const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
/// The versions that the server implements, for a client with another one.
pub(crate) const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
/// The extensions that the server implements.
pub(crate) const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
/// The digest algorithms that the server implements.
pub(crate) const TUS_CHECKSUM_ALGORITHM: HeaderName =
    HeaderName::from_static("tus-checksum-algorithm");
/// Length of the whole upload, in bytes.
pub(crate) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// The client's metadata of its upload.
pub(crate) const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// When an unfinished upload is removed.
pub(crate) const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// Whether an upload is a part, or is joined from parts.
pub(crate) const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");
/// Announces that the length is sent later.
pub(crate) const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
/// The method to use instead, for clients that can send only `POST`.
pub(crate) const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
/// Number of bytes received so far.
pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
