//! HTTP header fields: values in, values out. Nothing here knows a volume, a connection or the service.

pub(crate) mod accept;
pub(crate) mod content_coding;
pub(crate) mod cors;
pub(crate) mod encoders;
pub(crate) mod fields;
pub(crate) mod host;
pub(crate) mod media_type;
pub mod range;
pub(crate) mod request_fields;
pub(crate) mod route_path;
pub(crate) mod turns;
pub(crate) mod tus_headers;
pub(crate) mod validators;
