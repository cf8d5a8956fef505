//! Result codes (RFC 4511, appendix A), unknown ones included.

/// A result code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResultCode(pub u32);
impl ResultCode {
    pub const SUCCESS: Self = Self(0);
    pub const TIME_LIMIT_EXCEEDED: Self = Self(3);
    pub const SIZE_LIMIT_EXCEEDED: Self = Self(4);
    pub const COMPARE_FALSE: Self = Self(5);
    pub const COMPARE_TRUE: Self = Self(6);
    pub const REFERRAL: Self = Self(10);
    pub const ADMIN_LIMIT_EXCEEDED: Self = Self(11);
    pub const SASL_BIND_IN_PROGRESS: Self = Self(14);
    pub const NO_SUCH_OBJECT: Self = Self(32);
    pub const INVALID_CREDENTIALS: Self = Self(49);
    pub const INSUFFICIENT_ACCESS_RIGHTS: Self = Self(50);
    pub const BUSY: Self = Self(51);
    pub const UNAVAILABLE: Self = Self(52);
    pub const UNWILLING_TO_PERFORM: Self = Self(53);
    pub const SYNC_REFRESH_REQUIRED: Self = Self(4096);
}
/// The common part of every response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapResult { pub code: ResultCode, pub matched_dn: String, /// Lossy UTF-8 of the diagnostic message.
    pub message: String, pub referrals: Vec<String> }
