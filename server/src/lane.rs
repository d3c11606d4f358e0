//! The way of a connection whose client reads files: a lane beside hyper's.
//!
//! Most requests are plain reads of files, one after the other over the same connection, and what hyper does for all of HTTP costs
//! more than many such an answer. Here a head is parsed where it lies, by the parser that hyper has too, and an answer that is
//! [known](crate::again) goes out in the same breath: one read, one write. Other reads are answered by what answers all requests,
//! and written here. The first request that is anything else takes its connection, with all that has been read of it, over to hyper.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::access_log::{Line, LoggedBody};
use crate::again::Rest;
use crate::answer_head::{self, AnswerHead};
use crate::bell::Ear;
use crate::head::{Head, MOST_FIELDS, Parsed};
use crate::patience::Patient;
use crate::sendfile::{Direct, Socket};
use crate::serve::{Answers, Connection, FIRST_WORD, Patience};

/// Bytes of a head; what is longer is hyper's.
const LONGEST_HEAD: usize = 8 * 1024;

/// A connection's stream.
pub type Stream<S> = Patient<Direct<S>>;

/// A connection in the lane.
struct Lane<'a, A, S> {
    stream: Stream<S>,
    answers: &'a A,
    connection: &'a Connection,
    patience: Patience,
    /// Told when it is time to finish.
    finish: &'a mut Ear,
    /// What has been read and not answered: the beginning of a head, or what came behind one.
    rest: Vec<u8>,
    /// Whether that may be more than a beginning.
    is_rest_new: bool,
    /// When the next head must be there.
    due: Instant,
    /// Wakes us then, or earlier: it is set anew only when it has come, not for each request.
    alarm: Pin<Box<Sleep>>,
    /// Whether anything was answered.
    has_answered: bool,
}

/// What is to be done next.
enum Turn {
    /// A read that is not known: to be answered, perhaps as the last.
    Read(Box<Request<Body>>, bool),
    /// A head has been written, or all but the rest of it, and so has its body as far as that is known.
    Unsent(Vec<u8>, Box<Behind>, bool),
    /// Something else has come.
    Over(Vec<u8>),
    /// Nothing more comes.
    End,
}

/// What ends with a head that is not written yet.
enum Behind {
    /// An answer with so many bytes of a body, which stand there too.
    Nothing(Line, u64),
    /// An answer with a file's.
    Body(LoggedBody),
}

thread_local! {
    /// Where answers are composed.
    static PAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Serves a connection as long as its client only reads. The stream, where there is more to be done with it.
pub async fn serve<S: Socket>(
    stream: Stream<S>,
    answers: &impl Answers,
    connection: &Connection,
    patience: Patience,
    finish: &mut Ear,
) -> io::Result<Option<Stream<S>>> {
    let due = Instant::now() + patience.header;
    let lane = Lane {
        stream,
        answers,
        connection,
        patience,
        finish,
        rest: Vec::new(),
        is_rest_new: false,
        due,
        alarm: Box::pin(sleep_until(due)),
        has_answered: false,
    };
    lane.run().await
}

impl<A: Answers, S: Socket> Lane<'_, A, S> {
    async fn run(mut self) -> io::Result<Option<Stream<S>>> {
        loop {
            let turn = std::future::poll_fn(|context| self.poll_turn(context)).await?;
            let is_last = match turn {
                Turn::End => return Ok(None),
                Turn::Over(bytes) => {
                    self.stream.unread(bytes);
                    return Ok(Some(self.stream));
                }
                Turn::Read(request, is_last) => self.read(*request, is_last).await?,
                Turn::Unsent(unsent, rest, is_last) => {
                    match *rest {
                        Behind::Nothing(line, length) => {
                            finish(&mut self.stream, &unsent, line, length).await?;
                        }
                        Behind::Body(body) => {
                            send(&mut self.stream, unsent, body, Framing::Length).await?;
                        }
                    }
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
        self.due = Instant::now() + self.patience.header;
    }

    /// Reads heads, and gives all answers that are known at once.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        loop {
            let mut space = [const { MaybeUninit::uninit() }; LONGEST_HEAD];
            let mut read = ReadBuf::uninit(&mut space);
            read.put_slice(&self.rest);
            if !std::mem::take(&mut self.is_rest_new) {
                match Pin::new(&mut self.stream).poll_read(context, &mut read) {
                    Poll::Pending => return self.poll_patience(context).map(Ok),
                    Poll::Ready(result) => result?,
                }
                if read.filled().len() == self.rest.len() {
                    return Poll::Ready(Ok(Turn::End));
                }
            }
            let bytes = read.filled();
            let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
            let head = match Head::parse(bytes, &mut room) {
                Parsed::Read(head) => head,
                Parsed::Partial if bytes.len() < LONGEST_HEAD => {
                    self.rest = bytes.to_vec();
                    continue;
                }
                Parsed::Partial | Parsed::Other => {
                    return Poll::Ready(Ok(Turn::Over(bytes.to_vec())));
                }
            };
            self.rest = bytes.get(head.len..).unwrap_or_default().to_vec();
            self.is_rest_new = !self.rest.is_empty();
            if let Some(turn) = self.answer_at_once(head, bytes, context)? {
                return Poll::Ready(Ok(turn));
            }
        }
    }

    /// Gives an answer at once, if it is known. What is left to do, if anything is.
    fn answer_at_once(
        &mut self,
        mut head: Head<'_, '_>,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> io::Result<Option<Turn>> {
        head.is_last |= self.finish.has_heard();
        let now = Instant::now();
        PAGE.with_borrow_mut(|page| {
            page.clear();
            match self.answers.again(&head, self.connection, now.into_std(), page) {
                None => {
                    let turn = match head.request() {
                        Some(request) => Turn::Read(Box::new(request), head.is_last),
                        // hyper knows what to say.
                        None => Turn::Over(bytes.to_vec()),
                    };
                    Ok(Some(turn))
                }
                Some(Rest::Body(body)) => {
                    let turn =
                        Turn::Unsent(page.clone(), Box::new(Behind::Body(body)), head.is_last);
                    Ok(Some(turn))
                }
                Some(Rest::Nothing(mut whole)) => {
                    let written = match Pin::new(&mut self.stream).poll_write(context, page) {
                        Poll::Ready(written) => written?,
                        Poll::Pending => 0,
                    };
                    let unsent = page.get(written..).unwrap_or_default();
                    if unsent.is_empty() && !head.is_last {
                        whole.went();
                        self.has_answered = true;
                        self.due = now + self.patience.header;
                        return Ok(None);
                    }
                    let behind = Box::new(Behind::Nothing(whole.line(), whole.length()));
                    let turn = Turn::Unsent(unsent.to_vec(), behind, head.is_last);
                    Ok(Some(turn))
                }
            }
        })
    }

    /// Waits for a head no longer than it may take, nor than there is time.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        if self.finish.poll_heard(context).is_ready() {
            if self.has_answered && self.rest.is_empty() {
                return Poll::Ready(Turn::End);
            }
            // Its first request may be here, or on its way.
            self.due = self.due.min(Instant::now() + FIRST_WORD);
            if self.alarm.deadline() > self.due {
                self.alarm.as_mut().reset(self.due);
            }
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            if Instant::now() >= self.due {
                return Poll::Ready(Turn::End);
            }
            self.alarm.as_mut().reset(self.due);
        }
        Poll::Pending
    }

    /// Answers a read that is not known. Whether that was the last.
    async fn read(&mut self, request: Request<Body>, is_last: bool) -> io::Result<bool> {
        let is_head = *request.method() == Method::HEAD;
        let answer = self.answers.answer(request, self.connection);
        let response = until_gone(&self.stream, answer).await?;
        let is_last = is_last || closes(response.headers()) || self.finish.has_heard();
        let (head, framing) = compose(&response, is_head, is_last);
        match framing {
            // The body that it has not is dropped behind it, which ends the request.
            Framing::None => self.stream.write_all(&head).await?,
            framing => send(&mut self.stream, head, response.into_body(), framing).await?,
        }
        Ok(is_last)
    }
}

/// How a body's end is told (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// There is none.
    None,
    /// By its length.
    Length,
    /// By an empty chunk.
    Chunks,
}

/// The head of an answer, and how its body is told to end.
fn compose<B: HttpBody>(
    response: &Response<B>,
    is_head: bool,
    is_last: bool,
) -> (Vec<u8>, Framing) {
    let mut out = Vec::with_capacity(1024);
    let status = response.status();
    let fields = response.headers();
    let has_none = status == StatusCode::NOT_MODIFIED || status == StatusCode::NO_CONTENT;
    let length = response.body().size_hint().exact();
    let framing = match length {
        _ if has_none || is_head => Framing::None,
        None if !fields.contains_key(header::CONTENT_LENGTH) => Framing::Chunks,
        _ => Framing::Length,
    };
    let mut head = AnswerHead::new(&mut out, status).lines(&answer_head::lines(fields));
    match (framing, length) {
        (Framing::Chunks, _) => head = head.field("transfer-encoding", b"chunked"),
        (Framing::Length, Some(length)) if !fields.contains_key(header::CONTENT_LENGTH) => {
            head = head.length(length);
        }
        _ => {}
    }
    head.end(is_last);
    (out, framing)
}

/// Writes a head and what comes behind it.
async fn send<S, B>(
    stream: &mut Stream<S>,
    head: Vec<u8>,
    body: B,
    framing: Framing,
) -> io::Result<()>
where
    S: Socket,
    B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>>,
{
    let mut body = std::pin::pin!(body);
    let mut before = head;
    loop {
        let next = std::future::poll_fn(|context| {
            Poll::Ready(match body.as_mut().poll_frame(context) {
                Poll::Ready(frame) => Some(frame),
                Poll::Pending => None,
            })
        });
        let frame = if let Some(frame) = next.await {
            frame
        } else {
            // What is there already need not wait.
            stream.write_all(&before).await?;
            before.clear();
            until_gone(stream, body.frame()).await?
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        if data.is_empty() {
            continue;
        }
        if framing == Framing::Chunks {
            before.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
            write_all(stream, &[&before, &data, b"\r\n"]).await?;
        } else {
            write_all(stream, &[&before, &data]).await?;
        }
        before.clear();
    }
    if framing == Framing::Chunks {
        before.extend_from_slice(b"0\r\n\r\n");
    }
    if !before.is_empty() {
        stream.write_all(&before).await?;
    }
    Ok(())
}

/// Writes what is left of an answer that is at hand, and its line.
async fn finish<S: Socket>(
    stream: &mut Stream<S>,
    mut unsent: &[u8],
    line: Line,
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

async fn write_all<S: Socket>(stream: &mut Stream<S>, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices = [IoSlice::new(&[]); 3];
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
    }
    let mut slices = slices.as_mut_slice();
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match stream.write_vectored(slices).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut slices, written),
        }
    }
    Ok(())
}

/// Waits for something as long as there is somebody to have it.
async fn until_gone<S: Socket, T>(
    stream: &Stream<S>,
    work: impl Future<Output = T>,
) -> io::Result<T> {
    let gone = std::future::poll_fn(|context| stream.get_ref().poll_gone(context));
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = gone => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client has gone")),
    }
}

/// Whether an answer is the connection's last, by what it says itself.
fn closes(headers: &HeaderMap) -> bool {
    headers.get(header::CONNECTION).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"close"))
}
