//! What may be sent over a connection: passwords only where nobody listens.

/// What stands between a connection and those who might listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// TLS, from the start or by STARTTLS.
    Tls,
    /// A Unix socket.
    Socket,
    /// Nothing, but the address that was really connected to is a loopback one.
    Loopback,
    /// Nothing.
    None,
}

impl Protection {
    /// Whether what is sent is protected. A loopback address is not.
    pub(crate) const fn is_protected(self) -> bool {
        matches!(self, Self::Tls | Self::Socket)
    }

    /// Whether a password may be offered in a bind.
    pub(crate) const fn may_send_password(self, allow_plaintext: bool) -> bool {
        match self {
            Self::Tls | Self::Socket | Self::Loopback => true,
            Self::None => allow_plaintext,
        }
    }

    /// Whether a password may be set. No setting permits it in clear.
    pub(crate) const fn may_set_password(self) -> bool {
        self.is_protected()
    }
}

/// Whether setting this attribute sets a password.
pub(crate) fn is_password_attribute(name: &str) -> bool {
    let name = name.split(';').next().unwrap_or_default().trim();
    ["userPassword", "unicodePwd", "2.5.4.35", "1.2.840.113556.1.4.90"]
        .iter()
        .any(|password| password.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_sent_where_nobody_listens_or_on_demand() {
        for (protection, allowed, on_demand) in [
            (Protection::Tls, true, true),
            (Protection::Socket, true, true),
            (Protection::Loopback, true, true),
            (Protection::None, false, true),
        ] {
            assert_eq!(protection.may_send_password(false), allowed, "{protection:?}");
            assert_eq!(protection.may_send_password(true), on_demand, "{protection:?}");
        }
    }

    #[test]
    fn a_password_is_never_set_in_clear() {
        assert!(Protection::Tls.may_set_password() && Protection::Socket.may_set_password());
        assert!(!Protection::Loopback.may_set_password() && !Protection::None.may_set_password());
    }

    #[test]
    fn password_attributes_are_known_with_options_and_case() {
        assert!(is_password_attribute("USERPASSWORD;x-a") && is_password_attribute("unicodePwd"));
        assert!(!is_password_attribute("pwdLastSet") && !is_password_attribute(""));
    }
}
