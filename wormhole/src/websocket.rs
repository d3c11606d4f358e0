//! One websocket to the mailbox server.
//!
//! Sends and receives whole messages, answers pings while it receives, and detects a silent server with a ping of its own. It does not
//! reconnect: `mailbox` does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::error::Error;
use crate::server_message::{ClientMessage, LONGEST, ServerMessage};

/// After this much silence the server is pinged, and after as much again it counts as lost.
const SILENCE: Duration = Duration::from_secs(30);
/// How long the server may accept none of the bytes sent.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);

/// An open websocket.
pub(crate) struct WebSocket {
    socket: WebSocketStream<Box<dyn Connection>>,
    /// Whether a ping waits for its response.
    is_asked: bool,
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl WebSocket {
    /// Connects to a `ws://` or `wss://` URL. Has no time-out.
    pub(crate) async fn open(url: &str) -> Result<WebSocket, Error> {
        let target = Target::parse(url).ok_or_else(|| Error::NoMailbox { url: url.to_owned() })?;
        let unreachable = |source| Error::MailboxUnreachable { url: url.to_owned(), source };
        let connection = target.connect().await.map_err(unreachable)?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(LONGEST))
            .max_frame_size(Some(LONGEST));
        let opened = tokio_tungstenite::client_async_with_config(url, connection, Some(limits));
        let (socket, _answer) = opened.await.map_err(|it| unreachable(Box::new(it)))?;
        Ok(WebSocket { socket, is_asked: false })
    }

    /// Sends one message. If the connection is lost meanwhile, the server may or may not have received it.
    pub(crate) async fn say(&mut self, message: &ClientMessage<'_>) -> Result<(), Error> {
        self.send(Message::text(message.to_text())).await
    }

    /// The next message of the server. Dropping the future loses nothing.
    pub(crate) async fn hear(&mut self) -> Result<ServerMessage, Error> {
        loop {
            let next = match tokio::time::timeout(SILENCE, self.socket.next()).await {
                Ok(next) => next,
                Err(_) if self.is_asked => return Err(Error::MailboxLost { source: None }),
                Err(_) => {
                    self.is_asked = true;
                    self.send(Message::Ping(Bytes::new())).await?;
                    continue;
                }
            };
            self.is_asked = false;
            match next {
                Some(Ok(Message::Text(text))) => {
                    let message = ServerMessage::parse(&text);
                    return message.ok_or(Error::bad("what the mailbox server says"));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_))) => {
                    return Err(Error::bad("what the mailbox server says"));
                }
                Some(Ok(Message::Close(_))) | None => {
                    return Err(Error::MailboxLost { source: None });
                }
                Some(Err(error)) => {
                    return Err(Error::MailboxLost { source: Some(Box::new(error)) });
                }
            }
        }
    }

    /// Closes the websocket.
    pub(crate) async fn close(mut self) {
        if let Err(error) = self.socket.close(None).await {
            tracing::debug!("could not close the websocket to the mailbox server: {error}");
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        match tokio::time::timeout(WRITE_PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::MailboxLost { source: Some(Box::new(error)) }),
            Err(_) => Err(Error::MailboxLost { source: None }),
        }
    }
}

/// The host, port and scheme of a URL.
struct Target {
    host: String,
    port: u16,
    is_tls: bool,
}

impl Target {
    fn parse(url: &str) -> Option<Target> {
        let uri: Uri = url.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "ws" => false,
            "wss" => true,
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        (!host.is_empty()).then_some(Target { host, port, is_tls })
    }

    async fn connect(
        &self,
    ) -> Result<Box<dyn Connection>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        if !self.is_tls {
            return Ok(Box::new(stream));
        }
        // The provider is named: if another crate of the program brings a second one, there is no default.
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let config =
            ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
        let name = ServerName::try_from(self.host.clone())?;
        Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_named_by_a_websocket_url() {
        let check = |url: &str, expected: Option<(&str, u16, bool)>| {
            let target = Target::parse(url).map(|it| (it.host, it.port, it.is_tls));
            assert_eq!(
                target,
                expected.map(|(host, port, is_tls)| (host.to_owned(), port, is_tls)),
                "{url}"
            );
        };
        check(
            "ws://relay.magic-wormhole.io:4000/v1",
            Some(("relay.magic-wormhole.io", 4000, false)),
        );
        check("wss://mailbox.example/v1", Some(("mailbox.example", 443, true)));
        check("ws://[::1]:4000/v1", Some(("::1", 4000, false)));
        check("http://mailbox.example/v1", None);
        check("mailbox.example", None);
        check("", None);
        check("ws:///v1", None);
    }
}
