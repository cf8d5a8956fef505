//! OpenLDAP's clients, bound as the administrator of a server: the same for every server that a fixture starts.

use std::process::Command;

use crate::process;

/// Whoever may do anything at one server.
#[derive(Debug, Default)]
pub struct Clients {
    pub(crate) url: String,
    pub(crate) dn: String,
    pub(crate) password: &'static str,
    pub(crate) suffix: String,
}

impl Clients {
    /// Applies LDIF change records, and panics when the server refuses one.
    pub fn ldapmodify(&self, ldif: &str) {
        process::run(&mut self.client("ldapmodify"), Some(ldif.as_bytes()));
    }

    /// Adds the entries.
    pub fn ldapadd(&self, ldif: &str) {
        process::run(&mut self.client("ldapadd"), Some(ldif.as_bytes()));
    }

    /// Deletes an entry.
    pub fn ldapdelete(&self, dn: &str) {
        process::run(self.client("ldapdelete").arg(dn), None);
    }

    /// Sets a password.
    pub fn set_password(&self, dn: &str, password: &str) {
        self.ldapmodify(&format!("dn: {dn}\nchangetype: modify\nreplace: userPassword\nuserPassword: {password}\n"));
    }

    /// Searches below the suffix; answers LDIF without comments or folded lines.
    pub fn ldapsearch(&self, filter: &str, attributes: &[&str]) -> String {
        let mut command = self.client("ldapsearch");
        command.args(["-LLL", "-o", "ldif-wrap=no", "-b", &self.suffix, filter]).args(attributes);
        process::run(&mut command, None)
    }

    /// One of the clients, to be given arguments.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(process::program(program, &[], "ldap-utils"));
        command.env("LDAPNOINIT", "1").args(["-x", "-H", &self.url, "-D", &self.dn, "-w", self.password]);
        command
    }
}
