//! What HTTP's header fields mean: values in, values out. Nothing here knows a volume, a connection or the service.

pub mod accept;
pub mod content_coding;
pub mod cors;
pub mod encoders;
pub mod fields;
pub mod host;
pub mod media_type;
pub mod range;
pub mod route_path;
pub mod turns;
pub mod tus_headers;
pub mod validators;
