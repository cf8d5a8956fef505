//! Handles on a connection: opening one, and getting one operation through it within its deadline.
//!
//! The operations themselves stand in `bind.rs`, `search.rs` and `update.rs`; the socket is the driver's.

use crate::codec::DEFAULT_MAX_MESSAGE;
use crate::driver::{self, Channels, Command, Item, LayerChoice, Limits, Reply, SEARCH_QUEUE};
use crate::fault::Fault;
use crate::protection::Protection;
use crate::response::{Kind, Op, Outcome, Response};
use crate::transport::{self, Transport};
use crate::{Control, Error, LdapUrl, Scheme, TlsSettings};
use rustls::ClientConfig;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Commands that may wait for the driver.
const COMMAND_QUEUE: usize = 64;

/// How to connect.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// To which server.
    pub url: LdapUrl,
    /// With which TLS.
    pub tls: TlsSettings,
    /// Bounds connecting as a whole: name resolution, every address, STARTTLS and the TLS handshake.
    pub connect_timeout: Duration,
    /// Bounds one operation, or one page, as a whole, from asking to the last answer.
    pub operation_timeout: Duration,
    /// The most octets that one message, or one collected search or page, may take.
    pub max_message: usize,
}

impl ConnectOptions {
    /// With the system's roots, 5 s to connect, 15 s for an operation, 64 MiB for a message.
    pub fn new(url: LdapUrl) -> Self {
        Self {
            url,
            tls: TlsSettings::default(),
            connect_timeout: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(15),
            max_message: DEFAULT_MAX_MESSAGE,
        }
    }
}

/// Opens connections to one server; what they share (parsed certificates, TLS sessions to resume) is made once.
#[derive(Debug, Clone)]
pub struct Connector {
    options: ConnectOptions,
    /// None where nothing needs TLS.
    config: Option<Arc<ClientConfig>>,
}

impl Connector {
    /// Reads certificates and keys; [`Error::TlsSettings`] when they are of no use. Nothing is sent.
    pub fn new(options: ConnectOptions) -> Result<Self, Error> {
        let needs_tls = match options.url.scheme {
            Scheme::Ldaps => true,
            Scheme::Ldap => options.tls.starttls,
            Scheme::Ldapi => false,
        };
        let config = if needs_tls {
            options.tls.name_for(&options.url.host)?;
            Some(options.tls.client_config()?)
        } else {
            None
        };
        Ok(Self { options, config })
    }

    /// Connects, with TLS or STARTTLS as the options say, within `connect_timeout`.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let after = self.options.connect_timeout;
        let connecting = transport::connect(&self.options, self.config.as_ref());
        match tokio::time::timeout(after, connecting).await {
            Ok(transport) => Ok(Connection::start(transport?, &self.options)),
            Err(_) => Err(Error::Timeout { operation: "connecting", after }),
        }
    }
}

/// A handle on a connection; cheap to clone, operations of all clones run side by side.
///
/// The connection ends when the last handle (and the last [`SearchStream`](crate::SearchStream)) is dropped, when
/// [`close`](Self::close) is called, or when the server breaks the protocol.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bindery_ldap::{ConnectOptions, Connection, Dn, Filter, LdapUrl, Scope, SearchRequest};
///
/// let options = ConnectOptions::new(LdapUrl::parse("ldaps://dc1.example.test")?);
/// let connection = Connection::open(&options).await?;
/// let (result, _) = connection.bind_simple("cn=app,dc=example,dc=test", &"secret".into()).await?;
/// assert!(result.is_success(), "{result}");
///
/// let people = Dn::parse("ou=people,dc=example,dc=test")?;
/// let search = SearchRequest::new(&people, Scope::One, Filter::equal("uid", "ann")).attributes(["mail"]);
/// for entry in connection.search(search).await?.entries {
///     println!("{}: {:?}", entry.dn_text(), entry.text("mail"));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connection {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    protection: Protection,
    allow_plaintext: bool,
    operation_timeout: Duration,
    max_message: usize,
    /// Whether a SASL layer keeps everybody else from reading.
    sealed: AtomicBool,
    next_key: AtomicU64,
    cancels: mpsc::UnboundedSender<u64>,
    close: Arc<Notify>,
    fault: watch::Receiver<Option<Fault>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.shared.server)
            .field("protected", &self.is_protected())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects once. Who connects again and again to one server uses a [`Connector`].
    pub async fn open(options: &ConnectOptions) -> Result<Self, Error> {
        Connector::new(options.clone())?.connect().await
    }

    pub(crate) fn start(transport: Transport, options: &ConnectOptions) -> Self {
        let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
        let (cancels, cancel_queue) = mpsc::unbounded_channel();
        let (fault_sender, fault) = watch::channel(None);
        let close = Arc::new(Notify::new());
        let limits = Limits {
            max_message: options.max_message,
            // Those who wait behind a slow reader get half of their own time.
            stall: options.operation_timeout / 2,
        };
        let channels =
            Channels { commands: command_queue, cancels: cancel_queue, close: close.clone(), fault: fault_sender };
        tokio::spawn(driver::run(transport.stream, limits, channels));
        let shared = Shared {
            server: options.url.to_string(),
            protection: transport.protection,
            allow_plaintext: options.tls.allow_plaintext,
            operation_timeout: options.operation_timeout,
            max_message: options.max_message,
            sealed: AtomicBool::new(false),
            next_key: AtomicU64::new(0),
            cancels,
            close,
            fault,
        };
        Self { commands, shared: Arc::new(shared) }
    }

    /// Whether TLS, a Unix socket or a confidential SASL layer protects what is sent.
    pub fn is_protected(&self) -> bool {
        self.shared.protection.is_protected() || self.shared.sealed.load(Ordering::Acquire)
    }

    /// From now on, or no longer, a SASL layer keeps everybody else from reading.
    pub(crate) fn set_sealed(&self, sealed: bool) {
        self.shared.sealed.store(sealed, Ordering::Release);
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.shared.fault.borrow().is_some() || self.commands.is_closed()
    }

    /// Resolves when the connection has ended.
    pub async fn closed(&self) {
        let _ = self.shared.fault.clone().wait_for(Option::is_some).await;
    }

    /// Unbinds and closes; operations under way end with [`Error::Closed`].
    pub async fn close(&self) {
        self.shared.close.notify_one();
        self.closed().await;
    }

    /// The server's URL, for people to read.
    pub fn server(&self) -> &str {
        &self.shared.server
    }

    pub(crate) fn max_message(&self) -> usize {
        self.shared.max_message
    }

    pub(crate) fn operation_timeout(&self) -> Duration {
        self.shared.operation_timeout
    }

    /// Refuses a password that others could read on its way.
    pub(crate) fn check_may_send_password(&self) -> Result<(), Error> {
        let may = self.is_protected() || self.shared.protection.may_send_password(self.shared.allow_plaintext);
        if may { Ok(()) } else { self.plaintext() }
    }

    /// Refuses to set a password that others could read on its way, loopback included.
    pub(crate) fn check_may_set_password(&self) -> Result<(), Error> {
        let may = self.is_protected() || self.shared.protection.may_set_password();
        if may { Ok(()) } else { self.plaintext() }
    }

    fn plaintext(&self) -> Result<(), Error> {
        Err(Error::Plaintext { server: self.shared.server.clone() })
    }

    /// Why it ended.
    pub(crate) fn fault(&self) -> Error {
        match &*self.shared.fault.borrow() {
            Some(fault) => fault.error(&self.shared.server),
            None => Error::Closed { reason: "its task was stopped".to_owned(), notice: false },
        }
    }

    pub(crate) fn error(&self, fault: &Fault) -> Error {
        fault.error(&self.shared.server)
    }

    /// One request and its one answer, within the operation's deadline. When the future is dropped, or the
    /// deadline passes, the operation is abandoned.
    pub(crate) async fn call(
        &self,
        operation: &'static str,
        kind: Kind,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<(Outcome, Vec<Control>), Error> {
        self.call_with(operation, kind, body, None).await
    }

    /// The same for a SASL bind, after which the caller decides on a layer.
    pub(crate) async fn call_with(
        &self,
        operation: &'static str,
        kind: Kind,
        body: Zeroizing<Vec<u8>>,
        layer: Option<LayerChoice>,
    ) -> Result<(Outcome, Vec<Control>), Error> {
        let after = self.shared.operation_timeout;
        let response = tokio::time::timeout(after, self.exchange(kind, body, layer))
            .await
            .map_err(|_| Error::Timeout { operation, after })??;
        match response.op {
            Op::Result(_, outcome) => Ok((outcome, response.controls)),
            // The driver routes nothing else here.
            _ => Err(Error::Malformed { reason: format!("{operation} was answered with no result") }),
        }
    }

    async fn exchange(
        &self,
        kind: Kind,
        body: Zeroizing<Vec<u8>>,
        layer: Option<LayerChoice>,
    ) -> Result<Response, Error> {
        let (sender, receiver) = oneshot::channel();
        let mut ticket = self.ticket();
        self.submit(Command { key: ticket.key, body, kind, reply: Reply::One(sender), layer }).await?;
        let answer = receiver.await;
        ticket.disarm();
        answer.map_err(|_| self.fault())?.map_err(|fault| self.error(&fault))
    }

    async fn submit(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| self.fault())
    }

    /// Starts a search within `deadline`, whose caller may be slow where it is `unhurried`.
    pub(crate) async fn subscribe(
        &self,
        body: Zeroizing<Vec<u8>>,
        deadline: Option<Instant>,
        unhurried: bool,
    ) -> Result<Subscription, Error> {
        let (items, queue) = mpsc::unbounded_channel();
        let credit = Arc::new(Semaphore::new(SEARCH_QUEUE));
        let ticket = self.ticket();
        let reply = Reply::Many { items, credit: credit.clone(), unhurried };
        let submitted = self.submit(Command { key: ticket.key, body, kind: Kind::Search, reply, layer: None });
        match deadline {
            None => submitted.await?,
            Some(deadline) => {
                let in_time = tokio::time::timeout_at(deadline, submitted).await;
                in_time.map_err(|_| self.timeout("search"))??;
            }
        }
        Ok(Subscription { queue, ready: vec![].into_iter(), place: None, credit, ticket })
    }

    pub(crate) fn timeout(&self, operation: &'static str) -> Error {
        Error::Timeout { operation, after: self.shared.operation_timeout }
    }

    fn ticket(&self) -> Ticket {
        Ticket { key: self.shared.next_key.fetch_add(1, Ordering::Relaxed), cancels: Some(self.shared.cancels.clone()) }
    }
}

/// Cancels its operation when dropped, unless it was disarmed.
struct Ticket {
    key: u64,
    cancels: Option<mpsc::UnboundedSender<u64>>,
}

impl Ticket {
    fn disarm(&mut self) {
        self.cancels = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(cancels) = &self.cancels {
            // A driver that is gone has nothing to cancel.
            let _ = cancels.send(self.key);
        }
    }
}

/// The receiving end of a search under way; dropping it abandons the search.
pub(crate) struct Subscription {
    queue: mpsc::UnboundedReceiver<Item>,
    /// What came together and was not asked for yet, and its place in the queue.
    ready: std::vec::IntoIter<Response>,
    place: Option<OwnedSemaphorePermit>,
    credit: Arc<Semaphore>,
    ticket: Ticket,
}

/// One thing that a search yields, or how it failed.
pub(crate) enum Arrival {
    Response(Response),
    /// The caller was too slow for too long.
    Stalled(Duration),
    Fault(Fault),
}

impl Subscription {
    /// The next thing; `None` when the driver is gone.
    pub(crate) async fn next(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Arrival>, tokio::time::error::Elapsed> {
        loop {
            if let Some(response) = self.ready.next() {
                return Ok(Some(Arrival::Response(response)));
            }
            self.place = None;
            match self.next_item(deadline).await? {
                None => return Ok(None),
                Some(Item::Responses(responses, place)) => (self.ready, self.place) = (responses.into_iter(), place),
                Some(Item::Stalled(after)) => return Ok(Some(Arrival::Stalled(after))),
                Some(Item::Fault(fault)) => return Ok(Some(Arrival::Fault(fault))),
            }
        }
    }

    async fn next_item(&mut self, deadline: Option<Instant>) -> Result<Option<Item>, tokio::time::error::Elapsed> {
        if let Ok(item) = self.queue.try_recv() {
            return Ok(Some(item));
        }
        match deadline {
            None => Ok(self.queue.recv().await),
            Some(deadline) => tokio::time::timeout_at(deadline, self.queue.recv()).await,
        }
    }

    /// The server has said its last.
    pub(crate) fn finished(&mut self) {
        self.ticket.disarm();
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.close();
        self.credit.close();
    }
}
