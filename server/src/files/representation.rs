//! A file in the form that a request gets it (RFC 9110 §3.2): its validators, its fields, and the pieces of its body.

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

/// A file that a visitor uploaded may not run scripts, nor load anything from elsewhere. It keeps its origin, which is of no use without
/// scripts: a browser sends a login's password for its images only so.
const SANDBOX: &str = "sandbox allow-same-origin; default-src 'none'; img-src 'self' data:; media-src 'self'; \
     font-src 'self' data:; style-src 'self' 'unsafe-inline'";

/// A file in one form.
#[derive(Debug)]
pub struct Representation {
    media_type: MediaType,
    coding: Coding,
    /// Whether another request could get it in another coding.
    pub is_negotiated: bool,
    /// What tells it from other versions, and from the same one in another coding.
    pub validators: Validators,
    /// The tag of the file as it is.
    plain_etag: String,
    content_type: HeaderValue,
    embedding: Embedding,
    /// The fields that 200, 206 and 304 share (§15.4.5).
    shared: HeaderMap,
}

impl Representation {
    /// A request for ranges gets the file as it is: ranges of a coding made on the fly would not fit together, and
    /// browsers' caches mix what has the same tag.
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
        // With room for what an answer of its own adds.
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

    /// The same with what makes its coding; without one where all encoders are busy.
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

    /// Whether it is one in a coding.
    pub fn is_coded(&self) -> bool {
        self.coding != Coding::Identity
    }

    /// The type that 200 and 206 have.
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// What a request gets of it.
    pub(crate) fn plan(
        &self,
        fields: RequestFields<'_>,
        len: u64,
        encoders: &Encoders,
    ) -> ResponsePlan {
        let coded_length = |etag: &str| encoders.length_of(etag);
        ResponsePlan::new(fields, &self.validators, len, SystemTime::now, coded_length)
    }

    /// 304.
    pub fn not_modified(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().clone_from(&self.shared);
        response
    }

    /// The file as it is, or what is selected of it: 200 or 206 without its body, and the body's pieces.
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
            // The others have no content.
            _ => Representation::whole(len),
        };
        let length: u64 = pieces.iter().map(Piece::length).sum();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        (response, pieces)
    }

    /// The whole file in a coding.
    pub fn coded(&self, encoder: Encoder, plain: Body) -> Response {
        let mut response = Response::new(encoder.encode(plain, Some(&self.validators.etag)));
        let headers = response.headers_mut();
        headers.clone_from(&self.shared);
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(self.coding.token()));
        response
    }

    /// The body of a file from end to end.
    pub fn whole(len: u64) -> Vec<Piece> {
        (len > 0).then_some(Piece::File(Slice { start: 0, len })).into_iter().collect()
    }
}

/// Sets the fields that all answers with files have, whatever they are.
pub(crate) fn set_always(headers: &mut HeaderMap) {
    let mut always = |name, value| headers.insert(name, HeaderValue::from_static(value));
    always(header::CACHE_CONTROL, "no-cache");
    always(header::ACCEPT_RANGES, "bytes");
    always(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
}

/// §8.8.2.1: never later than now.
fn last_modified(file: &FoundFile) -> i64 {
    file.stat.modified_seconds().min(jiff::Timestamp::now().as_second())
}

/// `multipart/byteranges` (§14.6): a heading before each part, and an end.
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

/// So random that no file holds it by chance, nor on purpose.
fn boundary() -> String {
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        tracing::warn!("the system has no randomness for a multipart boundary");
    }
    format!("{:032x}", u128::from_be_bytes(random))
}
