//! Where the store is. The password of a database never leaves this type.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use crate::StoreError;

/// The address of a store: `sqlite:bindery.db`, `sqlite::memory:` or `postgres://user@host/database`.
///
/// Neither `Debug` nor `Display` shows a password.
#[derive(Clone)]
pub struct StoreUrl(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Memory,
    File(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl StoreUrl {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// [`StoreError::Url`] where the scheme is another, or the rest cannot be read. The error repeats nothing of the
    /// address, which may hold a password.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Self::parse_sqlite(path);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return PgConnectOptions::from_str(url)
                .map(|options| Self(Kind::Postgres(Box::new(options))))
                .map_err(|_| StoreError::Url { reason: "it cannot be read as postgres://user@host/database" });
        }
        Err(StoreError::Url { reason: "it begins neither with \"sqlite:\" nor with \"postgres://\"" })
    }

    fn parse_sqlite(path: &str) -> Result<Self, StoreError> {
        // sqlite:///var/lib/x.db is what people know from elsewhere.
        let path = path.strip_prefix("//").unwrap_or(path);
        match path {
            ":memory:" => Ok(Self(Kind::Memory)),
            "" => Err(StoreError::Url { reason: "the path of the SQLite file is missing after \"sqlite:\"" }),
            path if path.contains('\0') => Err(StoreError::Url { reason: "the path of the SQLite file contains NUL" }),
            path => Ok(Self(Kind::File(PathBuf::from(path)))),
        }
    }

    /// The same store, with a relative path of a file taken from `folder`, as that of the configuration file.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        match self.0 {
            Kind::File(path) => Self(Kind::File(folder.join(path))),
            other => Self(other),
        }
    }

    /// Whether several machines can share this store.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Kind::Postgres(_))
    }
}

impl FromStr for StoreUrl {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        Self::parse(url)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Memory => f.write_str("SQLite in memory"),
            Kind::File(path) => write!(f, "SQLite file {}", path.display()),
            Kind::Postgres(options) => {
                write!(f, "PostgreSQL database ")?;
                match (options.get_database(), options.get_socket()) {
                    (Some(name), None) => write!(f, "{name} at {}:{}", options.get_host(), options.get_port()),
                    (None, None) => write!(f, "at {}:{}", options.get_host(), options.get_port()),
                    (Some(name), Some(socket)) => write!(f, "{name} at {}", socket.display()),
                    (None, Some(socket)) => write!(f, "at {}", socket.display()),
                }
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let url = StoreUrl::parse("postgres://bindery:hunter2@db.example.com:5433/people?password=hunter3").unwrap();
        let shown = format!("{url} {url:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("people at db.example.com:5433"), "{shown}");
    }

    #[test]
    fn a_bad_address_is_not_repeated() {
        for bad in ["postgres://u:hunter2@h:notaport/d", "mysql://u:hunter2@h/d", "hunter2", "sqlite:"] {
            let error = format!("{0} {0:?}", StoreUrl::parse(bad).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_relative_path_hangs_under_the_configuration() {
        let shown = |url: &str| StoreUrl::parse(url).unwrap().relative_to(Path::new("/etc/bindery")).to_string();
        assert_eq!(shown("sqlite:bindery.db"), "SQLite file /etc/bindery/bindery.db");
        assert_eq!(shown("sqlite:///var/lib/b.db"), "SQLite file /var/lib/b.db");
        assert_eq!(shown("sqlite::memory:"), "SQLite in memory");
    }
}
