//! What most tests begin with: a slapd, and a configuration for it.

use bindery_tests::{Bindery, Ds389, Output, Slapd};
use serde_json::Value;

/// The configuration of one source named `corp`, with more keys of the source and more tables.
pub(crate) struct Corp {
    preset: &'static str,
    servers: Vec<String>,
    base_dn: String,
    keys: String,
    bind: String,
    tables: String,
}

impl Corp {
    /// The preset `openldap`, bound as `cn=sync`.
    pub(crate) fn new(slapd: &Slapd) -> Self {
        let bind = format!("dn = \"{}\"\npassword = \"{}\"", Slapd::SYNC_DN, Slapd::SYNC_PASSWORD);
        Self {
            preset: "openldap",
            servers: vec![slapd.url()],
            base_dn: slapd.suffix().to_owned(),
            keys: String::new(),
            bind,
            tables: String::new(),
        }
    }

    /// The preset `389ds`, bound as `cn=sync`.
    pub(crate) fn on_389ds(server: &Ds389) -> Self {
        let bind = format!("dn = \"{}\"\npassword = \"{}\"", Ds389::SYNC_DN, Ds389::SYNC_PASSWORD);
        Self {
            preset: "389ds",
            servers: vec![server.url()],
            base_dn: Ds389::SUFFIX.to_owned(),
            keys: String::new(),
            bind,
            tables: String::new(),
        }
    }

    pub(crate) fn preset(mut self, preset: &'static str) -> Self {
        self.preset = preset;
        self
    }

    pub(crate) fn servers(mut self, servers: &[String]) -> Self {
        self.servers = servers.to_vec();
        self
    }

    /// Keys of `[sources.corp]` itself.
    pub(crate) fn keys(mut self, keys: &str) -> Self {
        self.keys = format!("{}\n{keys}", self.keys);
        self
    }

    /// The content of `[sources.corp.bind]`.
    pub(crate) fn bind(mut self, bind: &str) -> Self {
        bind.clone_into(&mut self.bind);
        self
    }

    /// One more table of the source: its name, and its content.
    pub(crate) fn table(mut self, name: &str, content: &str) -> Self {
        self.tables = format!("{}\n[sources.corp.{name}]\n{content}\n", self.tables);
        self
    }

    /// One more table of the file, or several.
    pub(crate) fn also(mut self, toml: &str) -> Self {
        self.tables = format!("{}\n{toml}\n", self.tables);
        self
    }

    pub(crate) fn toml(&self) -> String {
        format!(
            "[sources.corp]\npreset = \"{}\"\nservers = {:?}\nbase_dn = \"{}\"\n{}\n\n[sources.corp.bind]\n{}\n{}",
            self.preset, self.servers, self.base_dn, self.keys, self.bind, self.tables
        )
    }

    pub(crate) fn bindery(&self) -> Bindery {
        Bindery::new(&self.toml())
    }
}

/// Panics, with everything the command said, when it did not end like this.
#[track_caller]
pub(crate) fn expect(output: &Output, code: i32, outcome: &str) {
    assert_eq!((output.code, output.outcome().as_str()), (code, outcome), "{}\n{}", output.stdout, output.stderr);
}

#[track_caller]
pub(crate) fn signed_in(output: &Output) -> Value {
    expect(output, 0, "signed_in");
    output.value()["user"].clone()
}

#[track_caller]
pub(crate) fn refused(output: &Output, reason: &str) {
    expect(output, 1, &format!("refused {reason}"));
}

#[track_caller]
pub(crate) fn unavailable(output: &Output) {
    expect(output, 3, "unavailable");
}

/// `user show USER --format json`.
#[track_caller]
pub(crate) fn user(bindery: &Bindery, name: &str) -> Value {
    let output = bindery.json(&["user", "show", name]);
    assert_eq!(output.code, 0, "{output:?}");
    output.value()
}

/// A list of names, sorted.
pub(crate) fn names(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap_or_else(|| panic!("no list: {value}"));
    let mut names = list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect::<Vec<_>>();
    names.sort();
    names
}

/// The DN of somebody in `ou=people`.
pub(crate) fn person(uid: &str) -> String {
    format!("uid={uid},ou=people,{}", Slapd::SUFFIX)
}

/// The DN of a group.
pub(crate) fn group(cn: &str) -> String {
    format!("cn={cn},ou=groups,{}", Slapd::SUFFIX)
}
