//! Security layers of SASL mechanisms (RFC 4422, 3.7): what protects a connection after a bind without TLS.
//!
//! Frames and bounds the buffers; the mechanism seals and opens them. Never decides whether there is a layer.

use crate::Error;
use crate::fault::Fault;
use bytes::{Buf, BytesMut};
use zeroize::Zeroizing;

/// What a mechanism negotiated for all octets that follow its bind.
pub trait SecurityLayer: Send {
    /// Protects octets on their way to the server; never more than [`max_plain`](Self::max_plain) at once.
    fn wrap(&mut self, plain: &[u8]) -> Result<Vec<u8>, Error>;

    /// Checks and opens one buffer of the server's. An error ends the connection.
    fn unwrap(&mut self, wrapped: &[u8]) -> Result<Vec<u8>, Error>;

    /// The most octets that one [`wrap`](Self::wrap) takes, so that what comes out fits what the server accepts.
    fn max_plain(&self) -> usize;

    /// The most octets that a buffer of the server's may have, as this side announced it.
    fn max_wrapped(&self) -> usize;

    /// Whether nobody else can read what is wrapped. Passwords may be sent over such a layer as over TLS.
    fn is_confidential(&self) -> bool;
}

/// Octets before each buffer that hold its length.
const LENGTH: usize = 4;

/// A layer in use, with what has arrived of its next buffers.
pub(crate) struct Layered {
    layer: Box<dyn SecurityLayer>,
    pub(crate) wrapped: BytesMut,
}

impl Layered {
    /// `early` is what came after the answer to the bind: the layer holds for it already.
    pub(crate) fn new(layer: Box<dyn SecurityLayer>, early: BytesMut) -> Self {
        Self { layer, wrapped: early }
    }

    /// A message as it goes over the wire.
    pub(crate) fn seal(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let mut sealed = Vec::with_capacity(message.len() + 64);
        for part in message.chunks(self.layer.max_plain().max(1)) {
            let wrapped = self.layer.wrap(part).map_err(|error| broken(&error))?;
            let length = u32::try_from(wrapped.len()).map_err(|_| Fault::malformed("a SASL buffer of 4 GiB"))?;
            sealed.extend_from_slice(&length.to_be_bytes());
            sealed.extend_from_slice(&wrapped);
        }
        Ok(Zeroizing::new(sealed))
    }

    /// Moves what is complete to `plain`.
    pub(crate) fn open(&mut self, plain: &mut BytesMut) -> Result<(), Fault> {
        while let Some(length) = self.wrapped.first_chunk::<LENGTH>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            if length > self.layer.max_wrapped() {
                let most = self.layer.max_wrapped();
                return Err(Fault::malformed(format!("a SASL buffer of {length} octets, where {most} were agreed on")));
            }
            let Some(wrapped) = self.wrapped.get(LENGTH..LENGTH + length) else { break };
            plain.extend_from_slice(&self.layer.unwrap(wrapped).map_err(|error| broken(&error))?);
            self.wrapped.advance(LENGTH + length);
        }
        Ok(())
    }
}

fn broken(error: &Error) -> Fault {
    Fault::malformed(format!("the SASL layer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protection::Protection;
    use crate::transport::Transport;
    use crate::{ConnectOptions, Connection, Dn, Filter, LdapUrl, SaslMechanism, Scope, SearchRequest, ber};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    /// Turns every octet over and adds one of its own, so that lengths differ.
    struct Flip {
        confidential: bool,
    }
    impl SecurityLayer for Flip {
        fn wrap(&mut self, plain: &[u8]) -> Result<Vec<u8>, Error> {
            assert!(plain.len() <= self.max_plain());
            Ok([b"!", &plain.iter().map(|octet| !octet).collect::<Vec<_>>()[..]].concat())
        }
        fn unwrap(&mut self, wrapped: &[u8]) -> Result<Vec<u8>, Error> {
            match wrapped.split_first() {
                Some((b'!', rest)) => Ok(rest.iter().map(|octet| !octet).collect()),
                _ => Err(Error::Sasl { mechanism: "FLIP".to_owned(), reason: "a forged buffer".to_owned() }),
            }
        }
        fn max_plain(&self) -> usize {
            7
        }
        fn max_wrapped(&self) -> usize {
            64
        }
        fn is_confidential(&self) -> bool {
            self.confidential
        }
    }

    struct Mechanism {
        confidential: bool,
    }
    impl SaslMechanism for Mechanism {
        fn name(&self) -> &'static str {
            "FLIP"
        }
        fn step(&mut self, challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
            match challenge {
                Some(b"liar") => Err(Error::Sasl { mechanism: "FLIP".to_owned(), reason: "not proven".to_owned() }),
                _ => Ok(None),
            }
        }
        fn reveals_password(&self) -> bool {
            false
        }
        fn layer(&mut self) -> Option<Box<dyn SecurityLayer>> {
            Some(Box::new(Flip { confidential: self.confidential }))
        }
    }

    fn connection() -> (Connection, DuplexStream) {
        let (client, server) = tokio::io::duplex(4096);
        let options = ConnectOptions::new(LdapUrl::parse("ldap://dir.test").unwrap());
        (Connection::start(Transport { stream: Box::new(client), protection: Protection::None }, &options), server)
    }

    const BOUND: &[u8] = &[0x30, 12, 2, 1, 2, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0];

    fn done(id: u8) -> Vec<u8> {
        vec![0x30, 12, 2, 1, id, 0x65, 7, 0x0a, 1, 0, 4, 0, 4, 0]
    }

    fn framed(wrapped: &[u8]) -> Vec<u8> {
        [&u32::try_from(wrapped.len()).unwrap().to_be_bytes()[..], wrapped].concat()
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        framed(&flipped(plain))
    }

    fn flipped(plain: &[u8]) -> Vec<u8> {
        [b"!", &plain.iter().map(|octet| !octet).collect::<Vec<_>>()[..]].concat()
    }

    /// Reads buffers until a whole message came, and answers with its octets.
    async fn message(server: &mut DuplexStream) -> Vec<u8> {
        let mut plain = vec![];
        while plain.len() < 2 || plain.len() < 2 + usize::from(plain[1]) {
            let length = usize::try_from(server.read_u32().await.unwrap()).unwrap();
            assert!(length <= 8, "at most 7 octets at once: {length}");
            let mut wrapped = vec![0; length];
            server.read_exact(&mut wrapped).await.unwrap();
            plain.extend(Flip { confidential: false }.unwrap(&wrapped).unwrap());
        }
        plain
    }

    async fn bound(answer: Vec<u8>, confidential: bool) -> (Connection, DuplexStream, Result<(), Error>) {
        let (connection, mut server) = connection();
        let serve = async {
            let mut request = [0u8; 512];
            let _ = server.read(&mut request).await;
            let _ = server.write_all(&answer).await;
        };
        let mut mechanism = Mechanism { confidential };
        let (result, ()) = tokio::join!(connection.bind_sasl(&mut mechanism), serve);
        (connection, server, result.map(|result| assert!(result.is_success())))
    }

    fn search() -> SearchRequest {
        SearchRequest::new(&Dn::parse("dc=x").unwrap(), Scope::Base, Filter::present("cn"))
    }

    #[tokio::test]
    async fn everything_after_the_bind_goes_through_the_layer() {
        let (connection, mut server, result) = bound(BOUND.to_vec(), true).await;
        result.unwrap();
        let serve = async {
            for id in [3, 4] {
                let request = message(&mut server).await;
                assert_eq!(request[4], id);
                // In two buffers, and those in two writes.
                let answer = done(id);
                let octets = [sealed(&answer[..5]), sealed(&answer[5..])].concat();
                server.write_all(&octets[..9]).await.unwrap();
                server.write_all(&octets[9..]).await.unwrap();
            }
        };
        let ask = async {
            for _ in 0..2 {
                assert!(connection.search(search()).await.unwrap().result.is_success());
            }
        };
        tokio::join!(ask, serve);
    }

    #[tokio::test]
    async fn it_holds_from_the_octet_after_the_answer() {
        // A notice of disconnection, wrapped, in one read with the answer to the bind.
        let result = [&[0x0a, 1, 52, 4, 0, 4, 0][..], &ber::tlv(0x8a, &[b"1.3.6.1.4.1.1466.20036"])].concat();
        let notice = ber::tlv(ber::SEQUENCE, &[&ber::integer(0), &ber::tlv(0x78, &[&result])]);
        let (connection, _server, result) = bound([BOUND, &sealed(&notice)].concat(), true).await;
        result.unwrap();
        connection.closed().await;
        let error = connection.search(search()).await.unwrap_err();
        assert!(error.to_string().contains("notice of disconnection"), "{error}");
        // In clear the same octets would be no buffer at all.
        let (connection, _server, result) = bound([BOUND, &done(3)].concat(), true).await;
        result.unwrap();
        connection.closed().await;
        let error = connection.search(search()).await.unwrap_err();
        assert!(matches!(&error, Error::Malformed { reason } if reason.contains("SASL buffer")), "{error}");
    }

    #[tokio::test]
    async fn forged_and_oversized_buffers_end_the_connection() {
        for (octets, why) in
            [(framed(b"?forged"), "forged"), (vec![0xff; 4], "agreed on"), (vec![0, 0, 0, 65], "agreed on")]
        {
            let (connection, mut server, result) = bound(BOUND.to_vec(), true).await;
            result.unwrap();
            server.write_all(&octets).await.unwrap();
            let error = connection.search(search()).await.unwrap_err();
            assert!(matches!(&error, Error::Malformed { reason } if reason.contains(why)), "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_prove_itself_gets_nothing_more() {
        let answer = [&[0x30, 18, 2, 1, 2, 0x61, 13, 0x0a, 1, 0, 4, 0, 4, 0, 0x87, 4][..], b"liar"].concat();
        let (connection, mut server, result) = bound(answer, true).await;
        assert!(matches!(result, Err(Error::Sasl { .. })));
        connection.closed().await;
        let mut rest = vec![];
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"", "not even a farewell in clear");
    }

    #[tokio::test]
    async fn only_a_confidential_layer_lets_passwords_through() {
        let (connection, _server, result) = bound(BOUND.to_vec(), false).await;
        result.unwrap();
        let refused = connection.bind_simple("cn=a", &"secret".into()).await.unwrap_err();
        assert!(matches!(refused, Error::Plaintext { .. }) && !connection.is_protected(), "{refused}");
        let (connection, mut server, result) = bound(BOUND.to_vec(), true).await;
        result.unwrap();
        assert!(connection.is_protected());
        let bind = tokio::spawn(async move { connection.bind_simple("cn=a", &"secret".into()).await });
        let request = message(&mut server).await;
        assert!(request.windows(6).any(|octets| octets == b"secret"));
        drop(server);
        assert!(bind.await.unwrap().is_err());
    }
}
