//! Which features this build has. A key that needs an absent one is an error; `--version` lists them.

/// Something that a build may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Reading a whole directory, on a schedule or live.
    Sync,
    /// Kerberos: `gssapi` binds and HTTP Negotiate.
    Kerberos,
    /// Active Directory: its preset and its fast group look-ups.
    ActiveDirectory,
    /// Servers from DNS SRV records.
    Srv,
    /// A user name from a trusted reverse proxy.
    RemoteUser,
    /// Password changes that go to the directory.
    WriteBack,
    /// A verifier kept for when every server is down.
    Offline,
}

impl Feature {
    /// Every feature there is.
    pub const ALL: [Self; 7] = [
        Self::Sync,
        Self::Kerberos,
        Self::ActiveDirectory,
        Self::Srv,
        Self::RemoteUser,
        Self::WriteBack,
        Self::Offline,
    ];

    /// Its name, as `--version` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Kerberos => "kerberos",
            Self::ActiveDirectory => "active-directory",
            Self::Srv => "srv",
            Self::RemoteUser => "remote-user",
            Self::WriteBack => "write-back",
            Self::Offline => "offline",
        }
    }

    /// Whether this build has it. The one table to change when it comes.
    pub fn is_built_in(self) -> bool {
        match self {
            Self::Sync | Self::WriteBack | Self::Offline => true,
            Self::Kerberos | Self::ActiveDirectory | Self::Srv | Self::RemoteUser => false,
        }
    }

    /// The names of those that this build has.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(|feature| feature.is_built_in()).map(Self::name)
    }
}
