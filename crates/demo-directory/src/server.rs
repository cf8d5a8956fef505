//! Listening, and one task for each connection. TLS is put on here; what is said is the session's.

use crate::directory::Directory;
use crate::session::{Ended, Session};
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How connections are protected.
#[derive(Debug, Clone, Default)]
pub enum Tls {
    /// Not at all.
    #[default]
    Off,
    /// From the first byte: `ldaps://`.
    Implicit(Arc<ServerConfig>),
    /// When the client asks: STARTTLS.
    StartTls(Arc<ServerConfig>),
}

/// How one connection is protected now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    None,
    StartTlsOffered,
    Tls,
}

/// A TCP connection, with TLS or without.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// Accepts until told to stop, then ends every connection.
pub(crate) async fn listen(
    directory: Arc<Directory>,
    listener: TcpListener,
    tls: Tls,
    max_message: usize,
    shutdown: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tracing::debug!(%peer, "connected");
                    let session = Session::new(Arc::clone(&directory), max_message, shutdown.clone());
                    connections.spawn(connection(session, stream, tls.clone()));
                }
                Err(error) => {
                    // Out of descriptors, most likely: others must end before more can begin.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn connection(mut session: Session, stream: TcpStream, tls: Tls) {
    // Answers are small and wait for nothing.
    let _ = stream.set_nodelay(true);
    let (mut socket, mut offer): (Box<dyn Socket>, _) = match tls {
        Tls::Off => (Box::new(stream), None),
        Tls::StartTls(config) => (Box::new(stream), Some(config)),
        Tls::Implicit(config) => match accept(config, Box::new(stream)).await {
            Some(socket) => {
                session.protection = Protection::Tls;
                (socket, None)
            }
            None => return,
        },
    };
    if offer.is_some() {
        session.protection = Protection::StartTlsOffered;
    }
    while let Ended::StartTls(clear) = session.run(socket).await {
        let Some(config) = offer.take() else { return };
        match accept(config, clear).await {
            Some(protected) => socket = protected,
            None => return,
        }
        session.protection = Protection::Tls;
    }
}

async fn accept(config: Arc<ServerConfig>, socket: Box<dyn Socket>) -> Option<Box<dyn Socket>> {
    match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(socket)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}
