//! Makes the folder of an instance: `dse.ldif` from the packaged template, and certificates in NSS's database.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::{Ds389, Ds389Builder};
use crate::ca::Ca;
use crate::process;

const TEMPLATE: &str = "/usr/share/dirsrv/data/template-dse.ldif";
const DATABASE: &str = include_str!("../../data/ds389-database.ldif");

/// Folders of an instance, which the template names.
const FOLDERS: &[&str] = &["config/schema", "lock", "tmp", "ldif", "bak", "run", "inst", "log", "db"];

pub(super) fn write(builder: &Ds389Builder, folder: &Path, ca: &Ca) {
    for name in FOLDERS {
        std::fs::create_dir_all(folder.join(name)).expect("make a folder of the instance");
    }
    // The package's /etc/dirsrv is closed to everybody but its own user; these two are needed, and may be bare.
    std::fs::write(folder.join("config/slapd-collations.conf"), "").expect("write collations");
    std::fs::write(folder.join("config/certmap.conf"), "certmap default default\n").expect("write certmap.conf");
    // Where additions to the schema go. It ends without a word when the file is missing.
    std::fs::write(folder.join("config/schema/99user.ldif"), "dn: cn=schema\n").expect("write a schema");
    certificates(folder, ca);
    std::fs::write(folder.join("config/dse.ldif"), dse(builder, folder)).expect("write dse.ldif");
}

/// Puts the ports into `dse.ldif`.
pub(super) fn listen_on(folder: &Path, ldap: u16, ldaps: u16) {
    let path = folder.join("config/dse.ldif");
    let mut dse = Dse::parse(&std::fs::read_to_string(&path).expect("read dse.ldif"));
    dse.set("cn=config", &[("nsslapd-port", &ldap.to_string()), ("nsslapd-secureport", &ldaps.to_string())]);
    std::fs::write(path, dse.to_text()).expect("write dse.ldif");
}

/// What everybody may do: read all but passwords, set their own; and `cn=blind` sees no groups.
pub(super) fn access(more: &[String]) -> String {
    let suffix = Ds389::SUFFIX;
    let mut text = format!(
        "dn: {suffix}\nchangetype: modify\nadd: aci\n\
         aci: (targetattr!=\"userPassword\")(version 3.0; acl \"read\"; allow (read, search, compare) userdn=\"ldap:///all\";)\n\
         aci: (targetattr=\"userPassword\")(version 3.0; acl \"own\"; allow (write) userdn=\"ldap:///self\";)\n\
         aci: (target=\"ldap:///ou=groups,{suffix}\")(targetattr=\"*\")(version 3.0; acl \"blind\"; deny (all) userdn=\"ldap:///{}\";)\n",
        Ds389::BLIND_DN
    );
    for aci in more {
        let _ = writeln!(text, "aci: {aci}");
    }
    text
}

fn dse(builder: &Ds389Builder, folder: &Path) -> String {
    let template = std::fs::read_to_string(TEMPLATE)
        .unwrap_or_else(|error| panic!("{TEMPLATE}: {error}: it is in the package 389-ds-base; run scripts/install"));
    let mut dse = Dse::parse(&filled(&(template + "\n\n" + DATABASE), folder));
    // It measures the speed of PBKDF2 at each start, for seconds.
    dse.0.retain(|entry| !entry.to_ascii_lowercase().starts_with("dn: cn=pbkdf2"));
    dse.set(
        "cn=config",
        &[
            ("nsslapd-listenhost", "127.0.0.1"),
            ("nsslapd-securelistenhost", "127.0.0.1"),
            ("nsslapd-security", "on"),
            ("nsslapd-allow-anonymous-access", "rootdse"),
            ("nsslapd-rootpwstoragescheme", "CLEAR"),
            ("passwordStorageScheme", "SSHA512"),
            ("nsslapd-enable-upgrade-hash", "off"),
        ],
    );
    if builder.memberof {
        dse.set(
            "cn=MemberOf Plugin,cn=plugins,cn=config",
            &[("nsslapd-pluginenabled", "on"), ("memberOfAutoAddOC", "nsMemberOf")],
        );
    }
    if builder.content_sync {
        // The changelog must name the entries that it speaks of.
        dse.set(
            "cn=Retro Changelog Plugin,cn=plugins,cn=config",
            &[("nsslapd-pluginenabled", "on"), ("nsslapd-attribute", "nsuniqueid:targetUniqueId")],
        );
        dse.set("cn=Content Synchronization,cn=plugins,cn=config", &[("nsslapd-pluginenabled", "on")]);
    }
    dse.to_text()
}

/// Replaces the template's `%words%`.
fn filled(template: &str, folder: &Path) -> String {
    let user = process::run(Command::new("id").arg("-un"), None);
    let in_folder = |name: &str| folder.join(name).display().to_string();
    let words = [
        ("schema_dir", in_folder("config/schema")),
        ("lock_dir", in_folder("lock")),
        ("tmp_dir", in_folder("tmp")),
        ("cert_dir", in_folder("config")),
        ("ldif_dir", in_folder("ldif")),
        ("bak_dir", in_folder("bak")),
        ("run_dir", in_folder("run")),
        ("inst_dir", in_folder("inst")),
        ("log_dir", in_folder("log")),
        ("config_dir", in_folder("config")),
        ("db_dir", in_folder("db")),
        ("db_home_dir", in_folder("db")),
        // The LMDB of 2.3 does not find the end of its own changelog, and content synchronization fails with it.
        ("db_lib", "bdb".to_owned()),
        ("fqdn", "localhost".to_owned()),
        ("ds_port", "0".to_owned()),
        ("ds_user", user.trim().to_owned()),
        ("ds_suffix", Ds389::SUFFIX.to_owned()),
        ("rootdn", Ds389::ROOT_DN.to_owned()),
        ("ds_passwd", format!("{{CLEAR}}{}", Ds389::ROOT_PASSWORD)),
        ("ldapi_enabled", "off".to_owned()),
        ("ldapi", in_folder("ldapi")),
        ("ldapi_autobind", "off".to_owned()),
    ];
    words.iter().fold(template.to_owned(), |text, (word, value)| text.replace(&format!("%{word}%"), value))
}

/// The entries of a `dse.ldif`, each as its lines. ns-slapd refuses one with more than one empty line between two.
struct Dse(Vec<String>);

impl Dse {
    fn parse(text: &str) -> Self {
        Self(text.split("\n\n").map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect())
    }

    /// Gives an entry these values, instead of those it had of these attributes.
    fn set(&mut self, dn: &str, values: &[(&str, &str)]) {
        let first = format!("dn: {dn}");
        let is_it = |entry: &&mut String| entry.lines().next().is_some_and(|line| line.eq_ignore_ascii_case(&first));
        let entry = self.0.iter_mut().find(is_it).unwrap_or_else(|| panic!("the template has no {dn}"));
        let names = |line: &str, name: &str| line.split(':').next().is_some_and(|it| it.eq_ignore_ascii_case(name));
        let kept = entry.lines().filter(|line| !values.iter().any(|(name, _)| names(line, name)));
        let new = values.iter().map(|(name, value)| format!("{name}: {value}"));
        *entry = kept.map(str::to_owned).chain(new).collect::<Vec<_>>().join("\n");
    }

    fn to_text(&self) -> String {
        self.0.join("\n\n") + "\n"
    }
}

/// NSS keeps keys in a database of its own, and takes them as PKCS #12 alone.
fn certificates(folder: &Path, ca: &Ca) {
    let issued = ca.server("server", &["localhost", "127.0.0.1"]);
    let (database, bundle) = (format!("sql:{}", folder.join("config").display()), folder.join("server.p12"));
    let certutil = || Command::new(process::program("certutil", &[], "libnss3-tools"));
    process::run(certutil().args(["-N", "--empty-password", "-d", &database]), None);
    process::run(
        certutil().args(["-A", "-n", "CA", "-t", "CT,,", "-a", "-d", &database, "-i"]).arg(ca.pem_path()),
        None,
    );
    process::run(
        Command::new(process::program("openssl", &[], "openssl"))
            .args(["pkcs12", "-export", "-name", "Server-Cert", "-passout", "pass:", "-in"])
            .arg(&issued.cert)
            .arg("-inkey")
            .arg(&issued.key)
            .arg("-out")
            .arg(&bundle),
        None,
    );
    process::run(
        Command::new(process::program("pk12util", &[], "libnss3-tools"))
            .args(["-d", &database, "-W", "", "-K", "", "-i"])
            .arg(&bundle),
        None,
    );
}
