//! Writing the string form of RFC 4515.

use super::Filter;
use std::fmt::{self, Display, Formatter, Write as _};

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('(')?;
        match self {
            Self::And(filters) => list(f, '&', filters)?,
            Self::Or(filters) => list(f, '|', filters)?,
            Self::Not(filter) => write!(f, "!{filter}")?,
            Self::Equal { attribute, value } => item(f, attribute, "=", value)?,
            Self::GreaterOrEqual { attribute, value } => item(f, attribute, ">=", value)?,
            Self::LessOrEqual { attribute, value } => item(f, attribute, "<=", value)?,
            Self::Approx { attribute, value } => item(f, attribute, "~=", value)?,
            Self::Present(attribute) => write!(f, "{attribute}=*")?,
            Self::Substrings { attribute, initial, any, last } => {
                write!(f, "{attribute}=")?;
                escape(f, initial.as_deref().unwrap_or_default())?;
                f.write_char('*')?;
                for part in any {
                    escape(f, part)?;
                    f.write_char('*')?;
                }
                escape(f, last.as_deref().unwrap_or_default())?;
            }
            Self::Extensible { rule, attribute, value, dn_attributes } => {
                f.write_str(attribute.as_deref().unwrap_or_default())?;
                if *dn_attributes {
                    f.write_str(":dn")?;
                }
                if let Some(rule) = rule {
                    write!(f, ":{rule}")?;
                }
                f.write_str(":=")?;
                escape(f, value)?;
            }
        }
        f.write_char(')')
    }
}

fn list(f: &mut Formatter<'_>, sign: char, filters: &[Filter]) -> fmt::Result {
    f.write_char(sign)?;
    filters.iter().try_for_each(|filter| write!(f, "{filter}"))
}

fn item(f: &mut Formatter<'_>, attribute: &str, sign: &str, value: &[u8]) -> fmt::Result {
    f.write_str(attribute)?;
    f.write_str(sign)?;
    escape(f, value)
}

/// Text stays text; syntax, controls and bytes that are not UTF-8 become `\xx`.
fn escape(f: &mut Formatter<'_>, value: &[u8]) -> fmt::Result {
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            if matches!(c, '*' | '(' | ')' | '\\') || c.is_control() {
                let mut buffer = [0; 4];
                hex(f, c.encode_utf8(&mut buffer).as_bytes())?;
            } else {
                f.write_char(c)?;
            }
        }
        hex(f, chunk.invalid())?;
    }
    Ok(())
}

fn hex(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\{byte:02x}"))
}
