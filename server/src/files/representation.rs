//! The representation of a file that a request gets (RFC 9110 §3.2): its validators, its header fields, and the pieces of its body.

use std::time::SystemTime;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use volume::FoundFile;

use crate::files::etag;
use crate::files::file_body::Piece;
use crate::files::plan::ResponsePlan;
use crate::http::content_coding::{self, Coding};
use crate::http::cors::Embedding;
use crate::http::encoders::{Encoder, Encoders};
use crate::http::fields;
use crate::http::media_type::MediaType;
use crate::http::range::{self, Slice};
use crate::http::request_fields::RequestFields;
use crate::http::validators::{Validators, http_date};

/// The `Content-Security-Policy` of an uploaded file that could run scripts: no scripts, and nothing loaded from elsewhere. The file keeps
/// its origin, which is harmless without scripts, because otherwise browsers send no password with requests for its images.
const SANDBOX: &str = "sandbox allow-same-origin; default-src 'none'; img-src 'self' data:; media-src 'self'; \
     font-src 'self' data:; style-src 'self' 'unsafe-inline'";

/// A file in one representation.
#[derive(Debug)]
pub struct Representation {
    media_type: MediaType,
    coding: Coding,
    /// Whether another request could get it with another content coding.
    pub is_negotiated: bool,
    /// The validators of this version in this content coding.
    pub validators: Validators,
    /// The entity tag without a content coding.
    plain_etag: String,
    content_type: HeaderValue,
    embedding: Embedding,
    /// The fields that 200, 206 and 304 share (RFC 9110 §15.4.5).
    shared: HeaderMap,
}

impl Representation {
    /// Chooses the representation for a request's header fields. A range request gets the file without a coding: ranges of codings made on
    /// the fly would not fit together, and browser caches combine parts with the same tag.
    pub async fn choose(
        name: &[u8],
        file: &mut FoundFile,
        fields: RequestFields<'_>,
        embedding: Embedding,
    ) -> std::io::Result<Representation> {
        let plain_etag = etag::settled(file).await?;
        let media_type = MediaType::of_name(name);
        let is_negotiated =
            media_type.is_compressible() && file.stat.len >= content_coding::SMALLEST;
        let coding = if is_negotiated { Coding::wanted(fields) } else { Coding::Identity };
        let last_modified = last_modified(file);
        let validators = Validators { etag: coding.etag(&plain_etag), last_modified };
        let content_type = fields::value(media_type.content_type());
        // Capacity for the fields that a response adds.
        let shared = HeaderMap::with_capacity(16);
        let mut representation = Representation {
            media_type,
            coding,
            is_negotiated,
            validators,
            plain_etag,
            content_type,
            embedding,
            shared,
        };
        representation.share();
        Ok(representation)
    }

    /// Takes an encoder for the coding. If all encoders are busy, falls back to no coding.
    pub fn with_encoder(mut self, encoders: &Encoders) -> (Representation, Option<Encoder>) {
        let encoder = encoders.take(self.coding);
        if encoder.is_none() && self.coding != Coding::Identity {
            self.coding = Coding::Identity;
            self.validators.etag.clone_from(&self.plain_etag);
            self.share();
        }
        (self, encoder)
    }

    fn share(&mut self) {
        let headers = &mut self.shared;
        fields::set(headers, header::ETAG, &self.validators.etag);
        fields::set(headers, header::LAST_MODIFIED, &http_date(self.validators.last_modified));
        set_always(headers);
        self.embedding.tell(headers);
        if self.is_negotiated {
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if self.media_type.is_active() {
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
        }
    }

    /// The fields that 200, 206 and 304 share.
    pub fn shared(&self) -> &HeaderMap {
        &self.shared
    }

    /// Whether it has a content coding.
    pub fn is_coded(&self) -> bool {
        self.coding != Coding::Identity
    }

    /// The value of `Content-Type` for 200 and 206.
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// What a request gets of the file.
    pub(crate) fn plan(
        &self,
        fields: RequestFields<'_>,
        len: u64,
        encoders: &Encoders,
    ) -> ResponsePlan {
        let coded_length = |etag: &str| encoders.length_of(etag);
        ResponsePlan::new(fields, &self.validators, len, SystemTime::now, coded_length)
    }

    /// The 304 response.
    pub fn not_modified(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().clone_from(&self.shared);
        response
    }

    /// The 200 or 206 response with the whole file or the planned parts, still without its body, and the pieces of the body. No content
    /// coding.
    pub(crate) fn response(&self, plan: ResponsePlan, len: u64) -> (Response, Vec<Piece>) {
        let mut response = Response::new(Body::empty());
        let is_part = matches!(plan, ResponsePlan::Slice(_) | ResponsePlan::Several(_));
        if is_part {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        let headers = response.headers_mut();
        headers.clone_from(&self.shared);
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        let pieces = match plan {
            ResponsePlan::Slice(slice) => {
                fields::set(headers, header::CONTENT_RANGE, &range::content_range(slice, len));
                vec![Piece::File(slice)]
            }
            ResponsePlan::Several(slices) => {
                let boundary = boundary();
                let multipart = format!("multipart/byteranges; boundary={boundary}");
                fields::set(headers, header::CONTENT_TYPE, &multipart);
                parts(&slices, len, &self.media_type.content_type(), &boundary)
            }
            // The whole file. The plans without content never get here.
            _ => Representation::whole(len),
        };
        let length: u64 = pieces.iter().map(Piece::length).sum();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        (response, pieces)
    }

    /// The 200 response with the whole file in its content coding.
    pub fn coded(&self, encoder: Encoder, plain: Body) -> Response {
        let mut response = Response::new(encoder.encode(plain, Some(&self.validators.etag)));
        let headers = response.headers_mut();
        headers.clone_from(&self.shared);
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(self.coding.token()));
        response
    }

    /// The body of a whole file of `len` bytes.
    pub fn whole(len: u64) -> Vec<Piece> {
        (len > 0).then_some(Piece::File(Slice { start: 0, len })).into_iter().collect()
    }
}

/// Sets the fields that every response with a file has.
pub(crate) fn set_always(headers: &mut HeaderMap) {
    let mut always = |name, value| headers.insert(name, HeaderValue::from_static(value));
    always(header::CACHE_CONTROL, "no-cache");
    always(header::ACCEPT_RANGES, "bytes");
    always(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
}

/// The date for `Last-Modified`: never later than now (RFC 9110 §8.8.2.1).
fn last_modified(file: &FoundFile) -> i64 {
    file.stat.modified_seconds().min(jiff::Timestamp::now().as_second())
}

/// The pieces of a `multipart/byteranges` body (RFC 9110 §14.6): a heading before each part, and an end.
fn parts(slices: &[Slice], len: u64, content_type: &str, boundary: &str) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(slices.len() * 2 + 1);
    let mut line_end = "";
    for slice in slices {
        let range = range::content_range(*slice, len);
        let heading = format!(
            "{line_end}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {range}\r\n\r\n"
        );
        pieces.push(Piece::Text(Bytes::from(heading)));
        pieces.push(Piece::File(*slice));
        line_end = "\r\n";
    }
    pieces.push(Piece::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    pieces
}

/// A random boundary, so that no file contains it, neither by chance nor on purpose.
fn boundary() -> String {
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        tracing::warn!("the system has no randomness for a multipart boundary");
    }
    format!("{:032x}", u128::from_be_bytes(random))
}
