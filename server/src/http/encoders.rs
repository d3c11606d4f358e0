//! Encoders for content codings, on threads of their own, apart from those that serve connections.
//!
//! Coding takes processor time, and other connections on the same thread would have to wait. So there is one encoder thread for each core,
//! started with the first coded body, with lower priority than the worker threads. Each body is a task there; it codes for one [`TURN`],
//! then lets the others have their turn. At most a few coded pieces wait for their client, so little is coded ahead for a slow client. An
//! encoder takes up to two megabytes of memory, whatever the file's size, so their number is limited.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::CParameter;
use compression_codecs::{BrotliEncoder, EncodeV2, GzipEncoder, ZstdEncoder, brotli};
use futures_util::Stream;
use http_body_util::BodyExt as _;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::yield_now;
use tokio_util::task::AbortOnDropHandle;

use crate::http::content_coding::Coding;
use crate::http::turns::InTurns;
use crate::sync::lock;

/// Bytes of a coded piece.
const CHUNK: usize = 64 * 1024;
/// Coded pieces that wait for their client, besides the one in progress.
const AHEAD: usize = 2;
/// How long a body is coded in one turn. Shorter turns would make poor use of the processor's caches.
const TURN: Duration = Duration::from_millis(4);
/// Bytes of a file that are coded in one step.
const SLICE: usize = 64 * 1024;
/// Most bytes of a file that are coded before something is sent, however well it compresses. Only by sending does the server notice that a
/// client has gone, and only by receiving does the client notice that the server is there.
const FLUSH_AFTER: usize = 128 * SLICE;
/// Log₂ of the encoders' windows in bytes.
const WINDOW_BITS: u32 = 18;
/// A compromise between speed and size for text, on each coding's own scale.
const ZSTD_LEVEL: i32 = 3;
const BROTLI_LEVEL: i32 = 4;
const GZIP_LEVEL: i32 = 5;

/// Encoders that work at the same time.
const MOST_ENCODERS: usize = 32;
/// Lengths of coded bodies that are remembered.
const MOST_LENGTHS: usize = 4096;
/// Threads for disk reads, if a file is not in memory.
const READERS: usize = 8;
/// How much the threads' priority is lowered (`man 2 nice`): if others need the whole processor, they get a tenth of it.
const NICER: i32 = 10;

/// The encoders of a service. When all are busy, bodies are sent without a coding, in turns with the coded ones.
#[derive(Debug)]
pub struct Encoders {
    places: Arc<Semaphore>,
    lengths: Arc<Lengths>,
    threads: Threads,
}

/// The lengths of coded bodies that were sent whole, by entity tag.
///
/// Locked for one look-up or insertion: by bodies that end, and by range requests with the tag of a coded representation.
#[derive(Debug, Default)]
struct Lengths(Mutex<HashMap<String, u64>>);

/// An encoder, for one body in one coding.
#[derive(Debug)]
pub struct Encoder {
    coding: Coding,
    permit: OwnedSemaphorePermit,
    lengths: Arc<Lengths>,
    threads: Handle,
}

impl Default for Encoders {
    fn default() -> Encoders {
        Encoders {
            places: Arc::new(Semaphore::new(MOST_ENCODERS)),
            lengths: Arc::default(),
            threads: Threads::default(),
        }
    }
}

impl Encoders {
    /// Takes an encoder for a coding. `None` if no coding is needed, or no encoder is free.
    pub fn take(&self, coding: Coding) -> Option<Encoder> {
        if coding == Coding::Identity {
            return None;
        }
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let threads = self.threads.handle()?;
        Some(Encoder { coding, permit, lengths: Arc::clone(&self.lengths), threads })
    }

    /// A body that is sent without a coding because no encoder was free.
    pub fn in_turns<B>(&self, body: B) -> Body
    where
        B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Unpin + Send + 'static,
    {
        match self.threads.handle() {
            Some(threads) => Body::new(InTurns::new(body, threads)),
            None => Body::new(body),
        }
    }

    /// Length of the coded body with an entity tag, if it was sent whole recently.
    pub fn length_of(&self, etag: &str) -> Option<u64> {
        lock(&self.lengths.0).get(etag).copied()
    }
}

impl Lengths {
    fn keep(&self, etag: String, length: u64) {
        let mut lengths = lock(&self.0);
        // A forgotten length costs a client only the range it could have had.
        if lengths.len() >= MOST_LENGTHS {
            lengths.clear();
        }
        lengths.insert(etag, length);
    }
}

/// The encoder threads. They start with the first body, and do not exist if the system refused to start them.
#[derive(Debug, Default)]
struct Threads(OnceLock<Option<Runtime>>);

impl Threads {
    fn handle(&self) -> Option<Handle> {
        let runtime = self.0.get_or_init(|| {
            let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            Builder::new_multi_thread()
                .worker_threads(cores)
                .max_blocking_threads(READERS)
                .thread_name("coder")
                .on_thread_start(lower_priority)
                .build()
                .inspect_err(|error| {
                    tracing::error!(
                        "could not start the encoder threads, so nothing is compressed: {error}"
                    );
                })
                .ok()
        });
        runtime.as_ref().map(|it| it.handle().clone())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take().flatten() {
            // This may be dropped by an async task, which must not block.
            runtime.shutdown_background();
        }
    }
}

/// For the calling thread: on Linux, each thread has its own priority.
fn lower_priority() {
    if let Err(errno) = rustix::process::nice(NICER) {
        tracing::debug!("could not lower the priority of an encoder thread: {errno}");
    }
}

impl Encoder {
    /// The body in this coding. With an entity tag, its length is remembered. Coding starts when the body is first polled.
    pub fn encode(self, plain: Body, etag: Option<&str>) -> Body {
        let (etag, lengths) = (etag.map(str::to_owned), Arc::clone(&self.lengths));
        let state = State::New(Some(Box::new((self, plain))));
        Body::from_stream(Coded { state, lengths, etag, length: 0 })
    }
}

/// A body that is being coded.
struct Coded {
    state: State,
    lengths: Arc<Lengths>,
    etag: Option<String>,
    /// Length so far, in bytes.
    length: u64,
}

enum State {
    New(Option<Box<(Encoder, Body)>>),
    Running(Running),
    Over,
}

/// A task that codes. It ends when this is dropped.
struct Running {
    news: mpsc::Receiver<News>,
    _task: AbortOnDropHandle<()>,
}

/// Messages from the task to the body.
enum News {
    Piece(Bytes),
    /// Everything is coded. A task that ends without this message was aborted.
    End,
    Failed(io::Error),
}

impl Running {
    fn begin(encoder: Encoder, plain: Body) -> Running {
        let (teller, news) = mpsc::channel(AHEAD);
        let Encoder { coding, permit, threads, .. } = encoder;
        let task = threads.spawn(async move {
            // Released together with the encoder's memory.
            let _place = permit;
            let ended = Coder::new(coding, teller.clone()).code(plain).await;
            let last = ended.map_or_else(News::Failed, |()| News::End);
            // The body may have been dropped.
            teller.send(last).await.unwrap_or_default();
        });
        Running { news, _task: AbortOnDropHandle::new(task) }
    }
}

impl Stream for Coded {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if let State::New(both) = &mut self.state
            && let Some(both) = both.take()
        {
            let (encoder, plain) = *both;
            self.state = State::Running(Running::begin(encoder, plain));
        }
        let State::Running(running) = &mut self.state else { return Poll::Ready(None) };
        let news = ready!(running.news.poll_recv(context));
        if let Some(News::Piece(piece)) = news {
            self.length += piece.len() as u64;
            return Poll::Ready(Some(Ok(piece)));
        }
        self.state = State::Over;
        Poll::Ready(match news {
            Some(News::Failed(error)) => Some(Err(error)),
            Some(_) => {
                if let Some(etag) = self.etag.take() {
                    self.lengths.keep(etag, self.length);
                }
                None
            }
            None => Some(Err(io::Error::other("the compression was broken off"))),
        })
    }
}

/// Codes one body.
struct Coder {
    codec: Box<dyn EncodeV2 + Send>,
    /// The piece that is being filled, and its length so far.
    piece: Vec<u8>,
    filled: usize,
    /// Bytes of the file that were coded since the last piece was passed on.
    taken: usize,
    teller: mpsc::Sender<News>,
}

impl Coder {
    fn new(coding: Coding, teller: mpsc::Sender<News>) -> Coder {
        Coder { codec: codec(coding), piece: vec![0; CHUNK], filled: 0, taken: 0, teller }
    }

    async fn code(mut self, mut plain: Body) -> io::Result<()> {
        let mut began = Instant::now();
        while let Some(frame) = plain.frame().await {
            let bytes = frame.map_err(io::Error::other)?.into_data().unwrap_or_default();
            for slice in bytes.chunks(SLICE) {
                self.take(slice).await?;
                if began.elapsed() >= TURN {
                    yield_now().await;
                    began = Instant::now();
                }
            }
        }
        while !self.step(|codec, output| codec.finish(output))? {
            self.hand_on().await;
        }
        self.hand_on().await;
        Ok(())
    }

    async fn take(&mut self, slice: &[u8]) -> io::Result<()> {
        let mut input = PartialBuffer::new(slice);
        while !input.unwritten().is_empty() {
            self.step(|codec, output| codec.encode(&mut input, output))?;
            if self.filled == self.piece.len() {
                self.hand_on().await;
            }
        }
        self.taken += slice.len();
        if self.taken >= FLUSH_AFTER {
            while !self.step(|codec, output| codec.flush(output))? {
                self.hand_on().await;
            }
            self.hand_on().await;
        }
        Ok(())
    }

    /// Lets the codec write into the rest of the piece.
    fn step<T>(
        &mut self,
        work: impl FnOnce(&mut (dyn EncodeV2 + Send), &mut WriteBuffer<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let room = self.piece.get_mut(self.filled..).unwrap_or_default();
        let mut output = WriteBuffer::new_initialized(room);
        let done = work(&mut *self.codec, &mut output)?;
        self.filled += output.written_len();
        Ok(done)
    }

    /// Passes the piece on. Waits until the client has taken enough.
    async fn hand_on(&mut self) {
        self.taken = 0;
        let mut piece = std::mem::replace(&mut self.piece, vec![0; CHUNK]);
        piece.truncate(std::mem::take(&mut self.filled));
        if !piece.is_empty() {
            // If the body was dropped, this task is about to be aborted.
            self.teller.send(News::Piece(piece.into())).await.unwrap_or_default();
        }
    }
}

fn codec(coding: Coding) -> Box<dyn EncodeV2 + Send> {
    match coding {
        Coding::Zstd => {
            let window = CParameter::window_log(WINDOW_BITS);
            Box::new(ZstdEncoder::new_with_params(ZSTD_LEVEL, &[window]))
        }
        Coding::Brotli => {
            let params = brotli::params::EncoderParams::default()
                .quality(Level::Precise(BROTLI_LEVEL))
                .window_size(WINDOW_BITS.cast_signed());
            Box::new(BrotliEncoder::new(params))
        }
        // `Encoders` never makes an encoder for `Identity`.
        Coding::Gzip | Coding::Identity => {
            Box::new(GzipEncoder::new(Level::Precise(GZIP_LEVEL).into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    fn body(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
        Body::from_stream(pieces)
    }

    #[tokio::test]
    async fn what_is_broken_off_never_looks_whole() {
        let encoders = Encoders::default();
        let never = stream::pending::<io::Result<Bytes>>();
        let coded = encoders.take(Coding::Gzip).unwrap().encode(body(never), Some("tag"));
        let mut coded = std::pin::pin!(coded.into_data_stream());
        // Polled once, so the task has started.
        assert!(futures_util::poll!(coded.next()).is_pending());
        drop(encoders);
        assert!(coded.next().await.unwrap().is_err());
        assert!(coded.next().await.is_none());
    }

    #[tokio::test]
    async fn what_fails_is_said_behind_what_went_well() {
        let encoders = Encoders::default();
        let failing = stream::iter([Ok(Bytes::from_static(b"abc")), Err(io::Error::other("gone"))]);
        let coded = encoders.take(Coding::Zstd).unwrap().encode(body(failing), Some("tag"));
        assert!(coded.collect().await.is_err());
        assert_eq!(encoders.length_of("tag"), None);
    }

    #[tokio::test]
    async fn what_shrinks_to_next_to_nothing_is_handed_on_all_the_same() {
        let zeros = Bytes::from(vec![0; SLICE]);
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            let encoders = Encoders::default();
            let taken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let (counted, zeros) = (Arc::clone(&taken), zeros.clone());
            let endless = stream::repeat_with(move || {
                counted.fetch_add(SLICE, std::sync::atomic::Ordering::SeqCst);
                Ok(zeros.clone())
            });
            let coded = encoders.take(coding).unwrap().encode(body(endless), None);
            let mut coded = std::pin::pin!(coded.into_data_stream());
            for number in 1..=4 {
                assert!(!coded.next().await.unwrap().unwrap().is_empty());
                // The pieces that wait are in addition.
                let most = (number + AHEAD + 2) * FLUSH_AFTER;
                assert!(taken.load(std::sync::atomic::Ordering::SeqCst) <= most, "{coding:?}");
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_coded_ahead_of_a_client_beyond_a_few_pieces() {
        let encoders = Encoders::default();
        let taken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        // Random bytes do not compress.
        let noise = stream::repeat_with(move || {
            counted.fetch_add(CHUNK, std::sync::atomic::Ordering::SeqCst);
            let mut noise = vec![0; CHUNK];
            getrandom::fill(&mut noise).map_err(io::Error::other)?;
            Ok(Bytes::from(noise))
        });
        let coded = encoders.take(Coding::Gzip).unwrap().encode(body(noise), None);
        let mut coded = std::pin::pin!(coded.into_data_stream());
        let mut read = 0;
        for _ in 0..50 {
            read += coded.next().await.unwrap().unwrap().len();
            // The encoder's own window and block are in addition.
            let ahead = taken.load(std::sync::atomic::Ordering::SeqCst).saturating_sub(read);
            assert!(ahead < (AHEAD + 8) * CHUNK, "{ahead}");
            for _ in 0..100 {
                yield_now().await;
            }
        }
    }
}
