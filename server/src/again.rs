//! An answer that was given a moment ago, given again at once if the file is still the same.
//!
//! What a read of a file comes to was found out a moment before and [kept](crate::recall). Here the request is held against that:
//! the caller's key by the keys as they are now, the file's stamp by one look, conditions and ranges as ever. Nothing waits, and
//! next to nothing is allocated. Whatever is not as simple has no answer here and takes the [long way](crate::files).

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Method, StatusCode};

use crate::access_log::{Line, LoggedBody, Read};
use crate::answer_head::AnswerHead;
use crate::app::App;
use crate::auth;
use crate::body::{FileBody, Piece};
use crate::coding::Coding;
use crate::crowd::Place;
use crate::head::Head;
use crate::range::{Selection, Slice, content_range};
use crate::recall::{Kept, Known};
use crate::sendfile::{self, Outlet};
use crate::validators::Verdict;

/// What comes behind an answer's head.
#[derive(Debug)]
pub enum Rest {
    /// Nothing: all there is has been written with it.
    Nothing(Line),
    /// A file's bytes.
    Body(LoggedBody),
}

/// Who asks, and over which connection.
#[derive(Debug)]
pub struct Asker<'a> {
    /// Where the request comes from.
    pub client: IpAddr,
    /// The fields of the request that an answer can depend on.
    pub fields: &'a HeaderMap,
    /// Through which a file can leave.
    pub outlet: &'a Outlet,
    /// Taken while the answer lasts.
    pub place: Option<Place>,
}

/// Writes the head of an answer by what is known of its file, and its body too where that is small. None where that does not help,
/// with nothing written.
pub fn answer(app: &App, head: &Head<'_, '_>, asker: Asker<'_>, out: &mut Vec<u8>) -> Option<Rest> {
    let path = head.bare_path()?;
    let known = app.recall.fresh(path)?;
    let Asker { client, fields, outlet, place } = asker;
    let caller = auth::identify_now(app, client, auth::key_in(fields), &known.path)?;
    let (status, slice) = decide(&known, app, fields)?;
    if app.volume.glance(&known.path) != Some(known.stat) {
        return None;
    }
    let len = known.stat.len;
    let part = slice.filter(|_| status == StatusCode::PARTIAL_CONTENT);
    let range = part.map(|it| content_range(it, len));
    let mut written = AnswerHead::new(out, status).lines(&known.lines);
    if let Some(range) = &range {
        written = written.field("content-range", range.as_bytes());
    }
    if let Some(slice) = slice {
        let content_type = known.representation.content_type();
        written = written.field("content-type", content_type.as_bytes()).length(slice.len);
    }
    written.end(head.is_last);
    let read = Read { method: &head.method, path, client, caller: &caller, status, slice, range };
    let mut line = Line::of_read(&app.activity, read, place);
    let Some(slice) = slice.filter(|_| head.method == Method::GET) else {
        return Some(Rest::Nothing(line));
    };
    Some(match &known.kept {
        Kept::Content(content) => {
            out.extend_from_slice(part_of(content, slice));
            line.went(slice.len);
            Rest::Nothing(line)
        }
        Kept::File(file) => {
            let by_kernel = Some(outlet).filter(|_| known.stat.rests(sendfile::REST)).cloned();
            let piece = (slice.len > 0).then_some(Piece::File(slice));
            let body = FileBody::new(Arc::clone(file), piece, by_kernel);
            Rest::Body(line.with(Body::new(body), outlet.clone()))
        }
    })
}

/// The status of an answer, and which bytes of the file are its body, or would be one's of `GET`.
fn decide(known: &Known, app: &App, fields: &HeaderMap) -> Option<(StatusCode, Option<Slice>)> {
    let representation = &known.representation;
    if representation.is_negotiated && Coding::wanted(fields) != Coding::Identity {
        return None;
    }
    let len = known.stat.len;
    match representation.validators.verdict(fields) {
        Verdict::Failed => None,
        Verdict::NotModified => Some((StatusCode::NOT_MODIFIED, None)),
        Verdict::Proceed => match representation.select(fields, len, &app.encoders) {
            Selection::Whole => Some((StatusCode::OK, Some(Slice::whole(len)))),
            Selection::Slice(slice) => Some((StatusCode::PARTIAL_CONTENT, Some(slice))),
            Selection::Several(_) | Selection::Unsatisfiable => None,
        },
    }
}

fn part_of(content: &[u8], slice: Slice) -> &[u8] {
    let place = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
    content.get(place(slice.start)..place(slice.start + slice.len)).unwrap_or_default()
}
