//! Binds: simple, anonymous, EXTERNAL, and any other SASL mechanism through a seam.

use crate::connection::Connection;
use crate::driver::LayerChoice;
use crate::layer::SecurityLayer;
use crate::response::{Kind, Outcome};
use crate::{Control, Error, LdapResult, ResultCode, ber, convert};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// More steps than any mechanism takes.
const MAX_SASL_STEPS: usize = 32;
const BIND: u8 = 0x60;
const SIMPLE: u8 = 0x80;
const SASL: u8 = 0xa3;

/// A SASL mechanism, step by step (RFC 4422; the seam for GSSAPI).
pub trait SaslMechanism: Send {
    /// As it is registered: `GSSAPI`.
    fn name(&self) -> &str;

    /// The next token for the server, from its last challenge (none at first). `None` sends none.
    fn step(&mut self, challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error>;

    /// What was negotiated to protect all that follows (RFC 4422, 3.7); asked once, after the server's last word was
    /// checked by [`step`](Self::step).
    fn layer(&mut self) -> Option<Box<dyn SecurityLayer>> {
        None
    }

    /// Whether somebody who listens learns the password: such a mechanism is refused where a simple bind is.
    /// Mechanisms that do better say so.
    fn reveals_password(&self) -> bool {
        true
    }
}

struct External;

impl SaslMechanism for External {
    fn name(&self) -> &'static str {
        "EXTERNAL"
    }
    fn step(&mut self, _challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        Ok(Some(vec![]))
    }
    fn reveals_password(&self) -> bool {
        false
    }
}

impl Connection {
    /// Simple bind with the ppolicy control asked for. Any result the server gives is returned, success or not.
    ///
    /// Refuses before anything is sent: an empty password or one with NUL ([`Error::EmptyPassword`]), and a
    /// connection without TLS to an address that is not loopback ([`Error::Plaintext`]).
    pub async fn bind_simple(&self, name: &str, password: &SecretString) -> Result<(LdapResult, Vec<Control>), Error> {
        let password = password.expose_secret();
        if password.is_empty() || password.contains('\0') {
            return Err(Error::EmptyPassword);
        }
        self.check_may_send_password()?;
        let (outcome, controls) = self.bind(name, &ber::tlv(SIMPLE, &[password.as_bytes()])).await?;
        Ok((outcome.result, controls))
    }

    /// Binds as nobody (RFC 4513, 5.1.1).
    pub async fn bind_anonymous(&self) -> Result<LdapResult, Error> {
        let (outcome, _) = self.bind("", &ber::tlv(SIMPLE, &[])).await?;
        Ok(outcome.result)
    }

    /// SASL EXTERNAL (RFC 4422, appendix A): who the TLS client certificate or the Unix socket says.
    pub async fn bind_external(&self) -> Result<LdapResult, Error> {
        self.bind_sasl(&mut External).await
    }

    /// A SASL bind, as many steps as it takes. Each step has the operation's deadline.
    pub async fn bind_sasl(&self, mechanism: &mut dyn SaslMechanism) -> Result<LdapResult, Error> {
        if mechanism.reveals_password() {
            self.check_may_send_password()?;
        }
        let mut challenge: Option<Vec<u8>> = None;
        for _ in 0..MAX_SASL_STEPS {
            let token = mechanism.step(challenge.as_deref())?.map(Zeroizing::new);
            let token = token.map(|token| ber::tlv(ber::OCTET_STRING, &[&token]));
            let name = ber::tlv(ber::OCTET_STRING, &[mechanism.name().as_bytes()]);
            let credentials = ber::tlv(SASL, &[&name, token.as_deref().map_or(&[], Vec::as_slice)]);
            // Where this is dropped without a word the connection ends: nobody knows what the server expects.
            let (decide, choice) = oneshot::channel();
            let (outcome, _) = self.bind_with("", &credentials, Some(choice)).await?;
            match outcome.result.code {
                ResultCode::SASL_BIND_IN_PROGRESS => challenge = Some(outcome.sasl_credentials.unwrap_or_default()),
                ResultCode::SUCCESS => {
                    // The server's last word may prove who it is (RFC 4422, 3.6).
                    if let Some(last) = outcome.sasl_credentials.filter(|last| !last.is_empty()) {
                        mechanism.step(Some(&last))?;
                    }
                    let layer = mechanism.layer();
                    if let Some(layer) = &layer {
                        self.set_sealed(layer.is_confidential());
                    }
                    // A connection that has ended says so to the next operation.
                    drop(decide.send(layer));
                    return Ok(outcome.result);
                }
                _ => return Ok(outcome.result),
            }
        }
        Err(Error::Sasl {
            mechanism: mechanism.name().to_owned(),
            reason: format!("it did not end within {MAX_SASL_STEPS} steps"),
        })
    }

    async fn bind(&self, name: &str, authentication: &[u8]) -> Result<(Outcome, Vec<Control>), Error> {
        self.bind_with(name, authentication, None).await
    }

    async fn bind_with(
        &self,
        name: &str,
        authentication: &[u8],
        layer: Option<LayerChoice>,
    ) -> Result<(Outcome, Vec<Control>), Error> {
        let version = ber::integer(3);
        let name = ber::tlv(ber::OCTET_STRING, &[name.as_bytes()]);
        let request = ber::tlv(BIND, &[&version, &name, authentication]);
        let controls = convert::controls(&[Control::password_policy()])?;
        self.call_with("bind", Kind::Bind, join(&request, &controls), layer).await
    }
}

/// A request and its controls, in one buffer of the right size.
pub(crate) fn join(request: &[u8], controls: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut body = Vec::with_capacity(request.len() + controls.len());
    body.extend_from_slice(request);
    body.extend_from_slice(controls);
    Zeroizing::new(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protection::Protection;
    use crate::transport::Transport;
    use crate::{ConnectOptions, LdapUrl};
    use tokio::io::{AsyncReadExt, DuplexStream};

    /// A connection that is protected so, and the server's end of it.
    fn connection(protection: Protection, allow_plaintext: bool) -> (Connection, DuplexStream) {
        let (client, server) = tokio::io::duplex(4096);
        let mut options = ConnectOptions::new(LdapUrl::parse("ldap://dir.test").unwrap());
        options.tls.allow_plaintext = allow_plaintext;
        (Connection::start(Transport { stream: Box::new(client), protection }, &options), server)
    }

    async fn sent(mut server: DuplexStream) -> Vec<u8> {
        let mut octets = vec![];
        server.read_to_end(&mut octets).await.unwrap();
        octets
    }

    struct Plain;
    impl SaslMechanism for Plain {
        fn name(&self) -> &'static str {
            "PLAIN"
        }
        fn step(&mut self, _challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
            Ok(Some(b"\0ann\0secret".to_vec()))
        }
    }

    #[tokio::test]
    async fn no_password_leaves_an_unprotected_connection() {
        let (connection, server) = connection(Protection::None, false);
        let simple = connection.bind_simple("cn=a", &"secret".into()).await.unwrap_err();
        assert!(matches!(simple, Error::Plaintext { .. }), "{simple}");
        let sasl = connection.bind_sasl(&mut Plain).await.unwrap_err();
        assert!(matches!(sasl, Error::Plaintext { .. }), "{sasl}");
        connection.close().await;
        assert_eq!(sent(server).await, [0x30, 5, 2, 1, 2, 0x42, 0], "an unbind and nothing else");
    }

    #[tokio::test]
    async fn allow_plaintext_lets_a_bind_through_but_no_new_password() {
        let (connection, mut server) = connection(Protection::None, true);
        let changed = connection.password_modify(None, None, Some(&"new".into())).await.unwrap_err();
        assert!(matches!(changed, Error::Plaintext { .. }), "{changed}");
        let extended = connection.extended("1.3.6.1.4.1.4203.1.11.1", None, &[]).await.unwrap_err();
        assert!(matches!(extended, Error::Plaintext { .. }), "{extended}");
        let bind = tokio::spawn(async move { connection.bind_simple("cn=a", &"secret".into()).await });
        let mut octets = [0u8; 7];
        server.read_exact(&mut octets).await.unwrap();
        assert_eq!(octets[5], BIND, "{octets:x?}");
        drop(server);
        assert!(matches!(bind.await.unwrap(), Err(Error::Closed { .. })));
    }

    struct Endless;
    impl SaslMechanism for Endless {
        fn name(&self) -> &'static str {
            "ENDLESS"
        }
        fn step(&mut self, _challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
            Ok(None)
        }
        fn reveals_password(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn a_server_that_never_ends_a_sasl_bind_is_given_up() {
        use tokio::io::AsyncWriteExt;
        let (connection, mut server) = connection(Protection::None, false);
        let challenges = tokio::spawn(async move {
            let mut request = [0u8; 4096];
            for id in 2u8.. {
                if server.read(&mut request).await.unwrap_or(0) == 0 {
                    return id;
                }
                let challenge = [0x30, 12, 2, 1, id, 0x61, 7, 0x0a, 1, 14, 4, 0, 4, 0];
                let _ = server.write_all(&challenge).await;
            }
            0
        });
        let error = connection.bind_sasl(&mut Endless).await.unwrap_err();
        assert!(matches!(error, Error::Sasl { .. }), "{error}");
        drop(connection);
        assert!(usize::from(challenges.await.unwrap()) <= MAX_SASL_STEPS + 4);
    }
}
