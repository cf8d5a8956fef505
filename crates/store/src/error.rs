//! What can go wrong, in the words of whoever has to put it right.

use sqlx::error::{DatabaseError, ErrorKind};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address of the store makes no sense. Its text is not repeated: it may hold a password.
    #[error("the store's url is wrong: {reason}; write \"sqlite:PATH\" or \"postgres://USER@HOST/DATABASE\"")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The database does not serve us now, and nothing follows from that. Nothing of the operation was kept, unless the
    /// connection broke in the moment of the commit; nobody can know that.
    #[error("{store} is unavailable: {trouble}")]
    Unavailable {
        /// Which database, without its password.
        store: String,
        /// What is the matter and what to do.
        trouble: Trouble,
        /// What the driver said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Somebody else wrote first, or the name or entry is taken. Nothing was written. Load, decide and try again.
    #[error("nothing was written: {what}")]
    Conflict {
        /// What stood in the way.
        what: String,
    },
    /// A value that cannot be stored on every database, refused before anything is sent.
    #[error("{field} cannot be stored: {reason}")]
    Invalid {
        /// Which value.
        field: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A value that has no form in which it could be stored. Nothing was written.
    #[error("a value cannot be stored in {store}; report this, it is a mistake in Bindery")]
    Unstorable {
        /// Which database.
        store: String,
        /// Which value, and why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database was set up by a newer Bindery, or its schema was changed.
    #[error("{store} does not fit this version of Bindery: {reason}")]
    Schema {
        /// Which database.
        store: String,
        /// In which way.
        reason: String,
    },
    /// The database holds something that cannot be read back.
    #[error("{store} holds something unreadable in {column}; restore it from a backup or mend the row")]
    Corrupt {
        /// Which database.
        store: String,
        /// Where.
        column: String,
        /// What the driver said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything else that a database says. A mistake in Bindery, most likely.
    #[error("{store} refused a statement")]
    Database {
        /// Which database.
        store: String,
        /// What the driver said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a database is unavailable, with the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The SQLite file's folder is not there.
    #[error("its folder does not exist; create it, or correct [store] url")]
    FolderMissing,
    /// The SQLite file can't be opened.
    #[error("the file cannot be opened; check that it and its folder belong to the user that Bindery runs as")]
    CannotOpen,
    /// The SQLite file or the database takes no writes.
    #[error("it is read-only; check the permissions of the file and its folder, or whether this is a standby server")]
    ReadOnly,
    /// No space left.
    #[error("the disk is full; make room, nothing that was committed is lost")]
    Full,
    /// Another process holds it for too long.
    #[error("it is locked by another process; end that process, or wait until it is done")]
    Locked,
    /// The file is no database, or is damaged.
    #[error("the file is not an SQLite database, or is damaged; restore it from a backup")]
    Damaged,
    /// Reading or writing the file failed.
    #[error("reading or writing the file failed; check the disk")]
    Disk,
    /// Nobody answers at the address.
    #[error("nobody answers at its address; check that the server runs and can be reached")]
    Unreachable,
    /// The connection ended midway.
    #[error("the connection was lost")]
    ConnectionLost,
    /// It fell silent in the middle of a statement.
    #[error("it gives no answer; check the network and what the server is busy with")]
    NoAnswer,
    /// TLS failed.
    #[error("the encrypted connection failed; check the server's certificate and sslmode")]
    Tls,
    /// User name or password refused.
    #[error("it refuses our user name or password; correct them in [store] url")]
    Credentials,
    /// The user may not do what it needs to.
    #[error("our user lacks a permission; grant it what it needs on the database and its schema")]
    Permission,
    /// The database does not exist.
    #[error("there is no such database; create it with createdb, or correct [store] url")]
    NoDatabase,
    /// No connection became free in time.
    #[error("no connection could be had in time; it does not answer, or is too busy")]
    Busy,
    /// It is starting, stopping, or out of resources.
    #[error("the server is starting, stopping or out of resources; it is tried again with the next request")]
    NotReady,
    /// The store was closed.
    #[error("it was closed")]
    Closed,
}

impl StoreError {
    /// Whether loading again and trying again may help at once.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// Whether the database is the trouble, so that the answer to the person is "unavailable".
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether something that was stored cannot be read back.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }

    pub(crate) fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict { what: what.into() }
    }

    pub(crate) fn unavailable(store: &str, trouble: Trouble) -> Self {
        Self::Unavailable { store: store.to_owned(), trouble, source: None }
    }

    /// Translates what the driver says.
    pub(crate) fn from_driver(store: &str, error: sqlx::Error) -> Self {
        let store = store.to_owned();
        match verdict(&error) {
            Verdict::Trouble(trouble) => Self::Unavailable { store, trouble, source: Some(Box::new(error)) },
            Verdict::Conflict(what) => Self::Conflict { what: what.to_owned() },
            Verdict::Unreadable(column) => Self::Corrupt { store, column, source: Box::new(error) },
            Verdict::Unstorable => Self::Unstorable { store, source: Box::new(error) },
            Verdict::Unknown => Self::Database { store, source: Box::new(error) },
        }
    }
}

enum Verdict {
    Trouble(Trouble),
    Conflict(&'static str),
    Unreadable(String),
    Unstorable,
    Unknown,
}

fn verdict(error: &sqlx::Error) -> Verdict {
    use std::io::ErrorKind as Io;
    match error {
        sqlx::Error::Database(error) => database_verdict(error.as_ref()),
        sqlx::Error::PoolTimedOut => Verdict::Trouble(Trouble::Busy),
        sqlx::Error::PoolClosed => Verdict::Trouble(Trouble::Closed),
        sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => Verdict::Trouble(Trouble::ConnectionLost),
        sqlx::Error::Tls(_) => Verdict::Trouble(Trouble::Tls),
        sqlx::Error::Io(error) => Verdict::Trouble(match error.kind() {
            Io::ConnectionReset | Io::BrokenPipe | Io::UnexpectedEof | Io::ConnectionAborted => Trouble::ConnectionLost,
            _ => Trouble::Unreachable,
        }),
        sqlx::Error::Encode(_) => Verdict::Unstorable,
        sqlx::Error::ColumnDecode { index, .. } => Verdict::Unreadable(index.clone()),
        _ => Verdict::Unknown,
    }
}

fn database_verdict(error: &dyn DatabaseError) -> Verdict {
    match error.kind() {
        ErrorKind::UniqueViolation => return Verdict::Conflict("the name or the entry is taken already"),
        ErrorKind::ForeignKeyViolation => return Verdict::Conflict("the user or the group is gone"),
        _ => {}
    }
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        sqlite_verdict(&code)
    } else {
        postgres_verdict(&code)
    }
}

/// The low byte of an extended result code is the primary one: <https://www.sqlite.org/rescode.html>.
fn sqlite_verdict(code: &str) -> Verdict {
    let primary = code.parse::<u32>().unwrap_or_default() & 0xff;
    Verdict::Trouble(match primary {
        5 | 6 => Trouble::Locked,
        8 => Trouble::ReadOnly,
        10 => Trouble::Disk,
        11 | 26 => Trouble::Damaged,
        13 => Trouble::Full,
        14 => Trouble::CannotOpen,
        _ => return Verdict::Unknown,
    })
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn postgres_verdict(code: &str) -> Verdict {
    let trouble = match code {
        "40001" | "40P01" => return Verdict::Conflict("somebody else wrote at the same time"),
        "53100" => Trouble::Full,
        "25006" => Trouble::ReadOnly,
        "3D000" => Trouble::NoDatabase,
        "42501" => Trouble::Permission,
        "55P03" => Trouble::Locked,
        _ => match code.get(..2) {
            Some("28") => Trouble::Credentials,
            Some("08") => Trouble::ConnectionLost,
            Some("53" | "57") => Trouble::NotReady,
            Some("58") => Trouble::Disk,
            _ => return Verdict::Unknown,
        },
    };
    Verdict::Trouble(trouble)
}
