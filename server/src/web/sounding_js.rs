//! `GET /sounding.js` and `GET /sounding.d.ts`: the module for web apps, and its types. Both are next to this file.
//!
//! A page that imports the module from here can start only after the server has woken. So browsers may cache it for a day, and for a week
//! after that use the cached one while they fetch a newer one.

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::http::fields;
use crate::http::validators::entity_tags;

const MODULE: &str = include_str!("sounding.js");
const TYPES: &str = include_str!("sounding.d.ts");
const CACHING: &str = "public, max-age=86400, stale-while-revalidate=604800";

pub(crate) async fn module(headers: HeaderMap) -> Response {
    answer(MODULE, "text/javascript; charset=utf-8", &headers)
}

pub(crate) async fn types(headers: HeaderMap) -> Response {
    answer(TYPES, "application/typescript; charset=utf-8", &headers)
}

fn answer(text: &'static str, media_type: &str, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(text)));
    let mut known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok());
    // A proxy that compresses the response makes its entity tag weak.
    let is_known = known.any(|it| {
        entity_tags(it).any(|it| it == "*" || it.strip_prefix("W/").unwrap_or(it) == tag)
    });
    let mut response =
        if is_known { StatusCode::NOT_MODIFIED.into_response() } else { text.into_response() };
    let fields = response.headers_mut();
    if !is_known {
        fields::set(fields, header::CONTENT_TYPE, media_type);
        fields::set(fields, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    }
    fields::set(fields, header::ETAG, &tag);
    fields::set(fields, header::CACHE_CONTROL, CACHING);
    response
}
