//! From a URL to a stream that may be spoken over: addresses, sockets, TLS and STARTTLS.
//!
//! Never sends a credential, and never speaks LDAP beyond the STARTTLS request.

use crate::fault::{Fault, tls_error};
use crate::protection::Protection;
use crate::response::{self, Kind, Op};
use crate::{ConnectOptions, Error, LdapUrl, Scheme, ber, tls};
use bytes::BytesMut;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rustls::ClientConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// Whatever octets travel over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream to a server, and what protects it.
pub(crate) struct Transport {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) protection: Protection,
}

/// How long one address is tried before the next is tried beside it (RFC 8305, 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// An answer to STARTTLS fits easily.
const MAX_STARTTLS_ANSWER: usize = 64 << 10;
const STARTTLS: &str = "1.3.6.1.4.1.1466.20037";

/// Connects, with TLS where the URL or the settings ask for it. The deadline is the caller's.
pub(crate) async fn connect(options: &ConnectOptions, config: Option<&Arc<ClientConfig>>) -> Result<Transport, Error> {
    let url = &options.url;
    if url.scheme == Scheme::Ldapi {
        let stream = UnixStream::connect(&url.host).await.map_err(|e| unreachable_server(url, e))?;
        return Ok(Transport { stream: Box::new(stream), protection: Protection::Socket });
    }
    let mut tcp = connect_tcp(url).await?;
    let Some(config) = config else {
        let peer = tcp.peer_addr().map_err(|e| unreachable_server(url, e))?;
        let loopback = peer.ip().to_canonical().is_loopback();
        let protection = if loopback { Protection::Loopback } else { Protection::None };
        return Ok(Transport { stream: Box::new(tcp), protection });
    };
    if url.scheme == Scheme::Ldap {
        starttls(&mut tcp, url).await?;
    }
    let name = options.tls.name_for(&url.host)?;
    let stream =
        TlsConnector::from(config.clone()).connect(name, tcp).await.map_err(|error| handshake_failed(url, error))?;
    Ok(Transport { stream: Box::new(stream), protection: Protection::Tls })
}

fn unreachable_server(url: &LdapUrl, source: io::Error) -> Error {
    Error::Connect { server: url.to_string(), source }
}

fn handshake_failed(url: &LdapUrl, error: io::Error) -> Error {
    match tls_error(&error) {
        Some(tls) => Error::Tls { server: url.to_string(), reason: tls::reason(tls) },
        None => unreachable_server(url, error),
    }
}

/// Tries every address that the name has: each as soon as the one before it failed or was slow.
async fn connect_tcp(url: &LdapUrl) -> Result<TcpStream, Error> {
    let failed = |error| unreachable_server(url, error);
    let resolved = tokio::net::lookup_host((url.host.as_str(), url.port)).await.map_err(failed)?;
    let mut addresses = resolved.collect::<Vec<SocketAddr>>().into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match addresses.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(failed(last_error)),
            None => {}
        }
        let more = addresses.len() > 0;
        tokio::select! {
            Some(attempt) = attempts.next() => match attempt {
                Ok(stream) => return prepare(stream).map_err(failed),
                Err(error) => last_error = error,
            },
            () = tokio::time::sleep(ATTEMPT_DELAY), if more => {}
        }
    }
}

/// No delays for small requests; a peer that vanished is noticed while nothing is sent, too.
fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let keepalive =
        socket2::TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15));
    socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

/// RFC 4511, 4.14. Anything but success is fatal, and so are octets that follow the answer: they were
/// there before TLS was, and might be somebody else's.
async fn starttls<S: Stream>(stream: &mut S, url: &LdapUrl) -> Result<(), Error> {
    let failed = |reason: String| Error::StartTls { server: url.to_string(), reason };
    let request = ber::tlv(0x77, &[&ber::tlv(0x80, &[STARTTLS.as_bytes()])]);
    let message = ber::tlv(ber::SEQUENCE, &[&ber::integer(1), &request]);
    stream.write_all(&message).await.map_err(|e| unreachable_server(url, e))?;
    let mut input = BytesMut::with_capacity(1024);
    let (response, len) = loop {
        let next = response::next(&input, MAX_STARTTLS_ANSWER);
        match next.map_err(|error| Fault::from(error).error(&url.to_string()))? {
            Some(answer) => break answer,
            None if stream.read_buf(&mut input).await.map_err(|e| unreachable_server(url, e))? == 0 => {
                return Err(failed("the server closed the connection".to_owned()));
            }
            None => {}
        }
    };
    match response.op {
        Op::Result(Kind::Extended, outcome) if response.id == 1 => {
            if !outcome.result.is_success() {
                return Err(failed(format!("the server answered {}", outcome.result)));
            }
        }
        _ => return Err(failed("the server answered something else".to_owned())),
    }
    if input.len() > len {
        return Err(failed("octets in clear followed the answer, as in an injection attack".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to the STARTTLS request, and what follows it.
    async fn answer(octets: &'static [u8]) -> Result<(), Error> {
        let (mut client, mut server) = tokio::io::duplex(4096);
        let server = async move {
            let mut request = [0u8; 128];
            let _ = server.read(&mut request).await;
            let _ = server.write_all(octets).await;
        };
        let url = LdapUrl::parse("ldap://dir.test").unwrap();
        tokio::join!(starttls(&mut client, &url), server).0
    }

    const SUCCESS: &[u8] = &[0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 0, 4, 0, 4, 0];

    #[tokio::test]
    async fn success_alone_goes_on() {
        answer(SUCCESS).await.unwrap();
    }

    #[tokio::test]
    async fn anything_else_is_fatal() {
        let refusals: &[&[u8]] = &[
            &[0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 52, 4, 0, 4, 0],
            // Success, and an octet more.
            &[0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 0, 4, 0, 4, 0, 0x30],
            // Success for another message, of another operation, and of nobody.
            &[0x30, 12, 2, 1, 2, 0x78, 7, 0x0a, 1, 0, 4, 0, 4, 0],
            &[0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0],
            &[],
        ];
        for octets in refusals {
            let error = answer(octets).await.unwrap_err();
            assert!(matches!(error, Error::StartTls { .. }), "{octets:x?}: {error}");
        }
        let error = answer(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
        let error = answer(&[0x30, 0x84, 0x10, 0, 0, 0]).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
}
