//! One entry as the directory keeps it.

use crate::password::Password;
use crate::schema::{self, Description};
use bindery_ldap::value::to_generalized_time;
use bindery_ldap::{Attribute, Dn};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Values of one attribute, its description taken apart once.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub description: Description,
    pub attribute: Attribute,
}

impl Stored {
    pub(crate) fn new(attribute: Attribute) -> Self {
        Self { description: Description::new(&attribute.name), attribute }
    }

    pub(crate) fn contains(&self, value: &[u8]) -> bool {
        let syntax = self.description.syntax();
        self.attribute.values.iter().any(|own| schema::equal(syntax, own, value))
    }
}

/// An entry, with what the directory itself maintains. Passwords are kept apart from attributes, so that
/// nothing that reads attributes can come upon them.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub dn: Dn,
    pub uuid: Uuid,
    pub created: DateTime<Utc>,
    pub modified: DateTime<Utc>,
    pub creator: String,
    pub modifier: String,
    pub csn: String,
    pub attributes: Vec<Stored>,
    pub passwords: Vec<Password>,
    pub password_changed: Option<DateTime<Utc>>,
}

impl Node {
    /// The values of all attributes that `description` covers, without those that are computed.
    pub(crate) fn values<'a>(&'a self, description: &'a Description) -> impl Iterator<Item = &'a [u8]> {
        self.attributes
            .iter()
            .filter(|stored| description.covers(&stored.description))
            .flat_map(|stored| stored.attribute.values.iter().map(Vec::as_slice))
    }

    pub(crate) fn find_mut(&mut self, description: &Description) -> Option<&mut Stored> {
        self.attributes.iter_mut().find(|stored| stored.description == *description)
    }

    pub(crate) fn has_value(&self, name: &str, value: &[u8]) -> bool {
        let description = Description::new(name);
        let syntax = description.syntax();
        self.values(&description).any(|own| schema::equal(syntax, own, value))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.values(&Description::new(name)).next().is_some()
    }

    /// What the directory maintains and can tell from the entry alone, of the attributes that are wanted.
    pub(crate) fn maintained(&self, wants: &dyn Fn(&str) -> bool) -> Vec<Attribute> {
        let always: [(&str, &dyn Fn() -> String); 8] = [
            ("entryUUID", &|| self.uuid.to_string()),
            ("entryDN", &|| self.dn.to_string()),
            ("entryCSN", &|| self.csn.clone()),
            ("createTimestamp", &|| to_generalized_time(self.created)),
            ("modifyTimestamp", &|| to_generalized_time(self.modified)),
            ("creatorsName", &|| self.creator.clone()),
            ("modifiersName", &|| self.modifier.clone()),
            ("subschemaSubentry", &|| crate::root_dse::SUBSCHEMA.to_owned()),
        ];
        let wanted = always.into_iter().filter(|(name, _)| wants(name));
        let mut attributes: Vec<Attribute> = wanted.map(|(name, value)| text(name, value())).collect();
        if wants("structuralObjectClass") {
            let classes = Description::new("objectClass");
            if let Some(class) = self.values(&classes).filter(|class| schema::is_structural(class)).last() {
                attributes.push(Attribute { name: "structuralObjectClass".into(), values: vec![class.to_vec()] });
            }
        }
        if let Some(changed) = self.password_changed.filter(|_| wants("pwdChangedTime")) {
            attributes.push(text("pwdChangedTime", to_generalized_time(changed)));
        }
        attributes
    }
}

pub(crate) fn text(name: &str, value: String) -> Attribute {
    Attribute { name: name.to_owned(), values: vec![value.into_bytes()] }
}
