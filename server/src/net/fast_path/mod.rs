//! The fast path: plain reads of files, and `/health`, without hyper.
//!
//! Most requests are plain reads of files, one after the other over the same connection, and hyper's work for all of HTTP costs more than
//! many such responses. Here, a request head is parsed in place, by the parser that hyper uses too. If its response is
//! [cached](crate::files::cached_response), it is sent at once: one read, one write. Other plain reads go through the handler that responds
//! to all requests, and are written here. The first request of any other kind hands the connection to hyper, with all bytes read of it so
//! far.

pub(crate) mod request_head;
pub(crate) mod response_head;
pub(crate) mod response_writer;

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body as HttpBody;
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::net::fast_path::request_head::{MOST_FIELDS, Parsed, RequestHead};
use crate::net::fast_path::response_head::ResponseHead;
use crate::net::fast_path::response_writer::{Framing, ResponseWriter};
use crate::net::handler::{Account, Connection, Handler, KnownResponse, Remainder};
use crate::net::sendfile::End;
use crate::net::shutdown::ShutdownSignal;
use crate::net::socket::Socket;
use crate::net::timeouts::{FIRST_REQUEST_TIMEOUT, Timeouts};
use crate::net::write_timeout::Stream;

/// Maximum length of a request head, in bytes. A longer one is left to hyper.
const LONGEST_HEAD: usize = 8 * 1024;

/// A connection on the fast path.
struct FastPath<'a, A, S> {
    stream: Stream<S>,
    handler: &'a A,
    connection: &'a Connection,
    timeouts: Timeouts,
    /// Triggered when the connection must finish.
    finish: &'a mut ShutdownSignal,
    /// Bytes read but not handled yet: the beginning of a request head, or what followed one.
    rest: Vec<u8>,
    /// Whether `rest` has not been parsed yet, so that it may hold a whole head.
    is_rest_new: bool,
    /// Deadline for the next request head.
    due: Instant,
    /// Fires at `due` or earlier. It is not reset for each request, but only when it has fired, or must fire earlier.
    alarm: Pin<Box<Sleep>>,
    has_answered: bool,
}

/// What to do next. A `bool` says whether this response is the connection's last.
enum Step<A: Handler> {
    /// Pass a plain read to the handler, since its response is not cached.
    Read(Box<Request<Body>>, bool),
    /// Write the rest of a response that is in memory. The number is the length of its body.
    Write(Vec<u8>, Box<A::Account>, u64, bool),
    /// Send a file.
    Send(Box<ResponseWriter<A::Body>>, bool),
    /// Hand the connection to hyper, with the bytes read so far.
    Over(Vec<u8>),
    /// Close the connection.
    End,
}

thread_local! {
    /// Buffer for response heads and small bodies, one for each thread.
    static PAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Serves a connection as long as its client sends only plain reads. Returns the stream if the connection must go on with hyper.
pub(crate) async fn serve<S: Socket>(
    stream: Stream<S>,
    handler: &impl Handler,
    connection: &Connection,
    timeouts: Timeouts,
    finish: &mut ShutdownSignal,
) -> io::Result<Option<Stream<S>>> {
    let due = Instant::now() + timeouts.header_read;
    let connection_state = FastPath {
        stream,
        handler,
        connection,
        timeouts,
        finish,
        rest: Vec::new(),
        is_rest_new: false,
        due,
        alarm: Box::pin(sleep_until(due)),
        has_answered: false,
    };
    connection_state.run().await
}

impl<A: Handler, S: Socket> FastPath<'_, A, S> {
    async fn run(mut self) -> io::Result<Option<Stream<S>>> {
        loop {
            let turn = std::future::poll_fn(|context| self.poll_turn(context)).await?;
            let is_last = match turn {
                Step::End => return Ok(None),
                Step::Over(bytes) => {
                    self.stream.rewind(bytes);
                    return Ok(Some(self.stream));
                }
                Step::Read(request, is_last) => self.read(*request, is_last).await?,
                Step::Write(unsent, line, length, is_last) => {
                    finish(&mut self.stream, &unsent, *line, length).await?;
                    is_last
                }
                Step::Send(sending, is_last) => {
                    self.send(*sending).await?;
                    is_last
                }
            };
            if is_last {
                self.stream.shutdown().await?;
                return Ok(None);
            }
            self.answered();
        }
    }

    fn answered(&mut self) {
        self.has_answered = true;
        self.due = Instant::now() + self.timeouts.header_read;
    }

    /// Reads request heads, and responds at once to those whose response is cached.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Step<A>>> {
        loop {
            let mut space = [const { MaybeUninit::uninit() }; LONGEST_HEAD];
            let mut read = ReadBuf::uninit(&mut space);
            read.put_slice(&self.rest);
            if !std::mem::take(&mut self.is_rest_new) {
                match Pin::new(&mut self.stream).poll_read(context, &mut read) {
                    Poll::Pending => return self.poll_timeout(context).map(Ok),
                    Poll::Ready(result) => result?,
                }
                if read.filled().len() == self.rest.len() {
                    return Poll::Ready(Ok(Step::End));
                }
            }
            let bytes = read.filled();
            let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
            let head = match RequestHead::parse(bytes, &mut room) {
                Parsed::Read(head) => head,
                Parsed::Partial if bytes.len() < LONGEST_HEAD => {
                    self.rest = bytes.to_vec();
                    continue;
                }
                Parsed::Partial | Parsed::Other => {
                    return Poll::Ready(Ok(Step::Over(bytes.to_vec())));
                }
            };
            self.rest = bytes.get(head.len..).unwrap_or_default().to_vec();
            self.is_rest_new = !self.rest.is_empty();
            if let Some(turn) = self.answer_at_once(head, bytes, context)? {
                return Poll::Ready(Ok(turn));
            }
        }
    }

    /// Sends the response at once if it is cached. Returns what is left to do, if anything.
    fn answer_at_once(
        &mut self,
        mut head: RequestHead<'_, '_>,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> io::Result<Option<Step<A>>> {
        head.is_last |= self.finish.is_triggered();
        let now = Instant::now();
        PAGE.with_borrow_mut(|page| {
            page.clear();
            match self.handler.respond_now(&head, self.connection, now.into_std(), page) {
                None => {
                    let turn = match head.request() {
                        Some(request) => Step::Read(Box::new(request), head.is_last),
                        // Hyper sends the error response.
                        None => Step::Over(bytes.to_vec()),
                    };
                    Ok(Some(turn))
                }
                Some(Remainder::Nothing(mut known)) => {
                    let written = match Pin::new(&mut self.stream).poll_write(context, page) {
                        Poll::Ready(Ok(written)) => written,
                        Poll::Ready(Err(error)) => {
                            // A response that fails is logged too.
                            let length = known.length();
                            known.account().ends(length, length);
                            return Err(error);
                        }
                        Poll::Pending => 0,
                    };
                    let unsent = page.get(written..).unwrap_or_default();
                    if unsent.is_empty() && !head.is_last {
                        self.went(known, now);
                        return Ok(None);
                    }
                    let line = Box::new(known.account());
                    Ok(Some(Step::Write(unsent.to_vec(), line, known.length(), head.is_last)))
                }
                Some(Remainder::Content(mut known, rest)) => {
                    let mut writer = ResponseWriter::new(page.clone(), rest, Framing::Length);
                    let polled = writer.poll(&mut self.stream, context);
                    if matches!(polled, Poll::Ready(Ok(()))) && !head.is_last {
                        self.went(known, now);
                        return Ok(None);
                    }
                    let sendfile_queue = &self.connection.sendfile_queue;
                    let writer = Box::new(writer.map(|it| known.body(it, sendfile_queue.clone())));
                    match polled {
                        Poll::Ready(Err(error)) => Err(error),
                        _ => Ok(Some(Step::Send(writer, head.is_last))),
                    }
                }
            }
        })
    }

    /// Records that a response was sent at once.
    fn went(&mut self, known: impl KnownResponse, began: Instant) {
        known.sent();
        self.has_answered = true;
        self.due = began + self.timeouts.header_read;
    }

    /// Waits for a request head until its deadline, or for the signal to finish.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<Step<A>> {
        if self.finish.poll_triggered(context).is_ready() {
            if self.has_answered && self.rest.is_empty() {
                return Poll::Ready(Step::End);
            }
            // The first request may already be here, or on its way.
            self.due = self.due.min(Instant::now() + FIRST_REQUEST_TIMEOUT);
            if self.alarm.deadline() > self.due {
                self.alarm.as_mut().reset(self.due);
            }
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            if Instant::now() >= self.due {
                return Poll::Ready(Step::End);
            }
            self.alarm.as_mut().reset(self.due);
        }
        Poll::Pending
    }

    /// Responds to a plain read through the handler. Returns whether this was the connection's last response.
    async fn read(&mut self, request: Request<Body>, is_last: bool) -> io::Result<bool> {
        let is_head = *request.method() == Method::HEAD;
        // Boxed, so that the memory is freed when the head is done. Otherwise every connection would hold it as long as it lasts.
        let answer = Box::pin(self.handler.respond(request, self.connection));
        let (response, begun) = until_gone(&mut self.stream, answer).await?;
        let is_last = is_last || closes(response.headers()) || self.finish.is_triggered();
        let (mut head, framing) = compose(&response, is_head, is_last);
        head.drain(..begun);
        match framing {
            // The response has no body to send. Dropping it here completes the request.
            None => self.stream.write_all(&head).await?,
            Some(framing) => {
                let body = std::pin::pin!(response.into_body());
                self.send(ResponseWriter::new(head, body, framing)).await?;
            }
        }
        Ok(is_last)
    }

    async fn send<B>(&mut self, mut sending: ResponseWriter<B>) -> io::Result<()>
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Unpin,
    {
        std::future::poll_fn(|context| sending.poll(&mut self.stream, context)).await
    }
}

/// Writes the head of a response. Returns it with the framing of the body, or `None` if no body follows.
fn compose<B: HttpBody>(
    response: &Response<B>,
    is_head: bool,
    is_last: bool,
) -> (Vec<u8>, Option<Framing>) {
    let (status, fields) = (response.status(), response.headers());
    let has_content = !matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT);
    let has_length = fields.contains_key(header::CONTENT_LENGTH);
    let length = response.body().size_hint().exact();
    let mut out = Vec::with_capacity(1024);
    let mut head = ResponseHead::new(&mut out, status).lines(&response_head::lines(fields));
    let mut framing = Framing::Length;
    if has_content && !has_length {
        match length {
            // A response to `HEAD` says the length that `GET` would send. A body without a length, or an empty one, means that the length
            // is not known.
            None | Some(0) if is_head => {}
            Some(length) => head = head.length(length),
            None => {
                head = head.field("transfer-encoding", b"chunked");
                framing = Framing::Chunks;
            }
        }
    }
    head.end(is_last);
    (out, Some(framing).filter(|_| has_content && !is_head))
}

/// Writes the rest of a response that is in memory, and completes its account.
async fn finish<S: Socket>(
    stream: &mut Stream<S>,
    mut unsent: &[u8],
    line: impl Account,
    length: u64,
) -> io::Result<()> {
    while !unsent.is_empty() {
        match stream.write(unsent).await {
            Ok(written) => unsent = unsent.get(written..).unwrap_or_default(),
            Err(error) => {
                line.ends(length, unsent.len() as u64);
                return Err(error);
            }
        }
    }
    line.ends(length, 0);
    Ok(())
}

/// Runs `work`, unless the client goes away before it is done. Returns also how many bytes of the response head were already sent.
///
/// A client that has closed its sending half may have gone, or may wait for its response: TCP cannot tell the two apart until something is
/// sent. So we send the first bytes that every response begins with. If the client has gone, its system replies with a reset.
async fn until_gone<S: Socket, T>(
    stream: &mut Stream<S>,
    work: impl Future<Output = T>,
) -> io::Result<(T, usize)> {
    let mut work = std::pin::pin!(work);
    let ended = std::future::poll_fn(|context| stream.get_ref().poll_end(context));
    tokio::select! {
        biased;
        done = &mut work => return Ok((done, 0)),
        end = ended => if end == End::Gone { return Err(response_writer::gone()) },
    }
    let begun = std::future::poll_fn(|context| {
        Poll::Ready(match Pin::new(&mut *stream).poll_write(context, response_head::BEGIN) {
            Poll::Ready(written) => written,
            Poll::Pending => Ok(0),
        })
    });
    let begun = begun.await?;
    tokio::select! {
        biased;
        done = work => Ok((done, begun)),
        () = stream.get_ref().broken() => Err(response_writer::gone()),
    }
}

/// Whether the response's own `Connection` field makes it the connection's last.
fn closes(headers: &HeaderMap) -> bool {
    headers.get(header::CONNECTION).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;

    use super::*;

    type Frame = io::Result<http_body::Frame<Bytes>>;

    #[test]
    fn an_answer_says_of_its_length_what_is_so() {
        let check = |status: StatusCode, length: Option<&str>, body: Body, heads: [&str; 2]| {
            let mut response = Response::new(body);
            *response.status_mut() = status;
            if let Some(length) = length {
                response.headers_mut().insert(header::CONTENT_LENGTH, length.parse().unwrap());
            }
            for (is_head, expected) in [(false, heads[0]), (true, heads[1])] {
                let (head, _) = compose(&response, is_head, false);
                let head = String::from_utf8(head).unwrap();
                let lines = head.split("\r\n").skip(1).filter(|it| !it.starts_with("date: "));
                let lines: Vec<&str> = lines.filter(|it| !it.is_empty()).collect();
                assert_eq!(lines.join(", "), expected, "{status}, {is_head}");
            }
        };
        let unknown = || Body::new(StreamBody::new(futures_util::stream::empty::<Frame>()));
        let (ok, known) = (StatusCode::OK, "content-length: 3");
        check(ok, None, Body::from("abc"), [known, known]);
        check(ok, Some("3"), Body::empty(), [known, known]);
        check(ok, Some("3"), unknown(), [known, known]);
        check(ok, None, unknown(), ["transfer-encoding: chunked", ""]);
        check(ok, None, Body::empty(), ["content-length: 0", ""]);
        for status in [StatusCode::NOT_MODIFIED, StatusCode::NO_CONTENT] {
            check(status, None, Body::empty(), ["", ""]);
        }
    }
}
