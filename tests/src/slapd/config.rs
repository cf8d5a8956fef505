//! Writes slapd.conf. The order of its lines matters to slapd.

use std::fmt::Write;
use std::path::Path;

use super::{Slapd, SlapdBuilder};
use crate::ca::{Ca, Issued};

const STATES: &str = include_str!("../../data/states.schema");

pub(super) fn write(builder: &SlapdBuilder, folder: &Path, ca: &Ca, certificate: &Issued) {
    std::fs::create_dir(folder.join("db")).expect("make the database folder");
    std::fs::write(folder.join("states.schema"), STATES).expect("write a schema");
    let nis = if builder.rfc2307bis { rfc2307bis(folder) } else { "/etc/ldap/schema/nis.schema".to_owned() };
    let conf = [
        schemas(folder, &nis),
        modules(builder),
        global(builder, folder, ca, certificate),
        database(builder, folder),
        overlays(builder),
    ];
    std::fs::write(folder.join("slapd.conf"), conf.concat()).expect("write slapd.conf");
}

/// Percent-encodes a path for ldapi.
pub(super) fn percent(path: &Path) -> String {
    path.to_str().expect("temporary folders have plain names").replace('%', "%25").replace('/', "%2F")
}

/// The packaged nis.schema with `posixGroup` as the later draft has it; that schema is not packaged.
fn rfc2307bis(folder: &Path) -> String {
    let nis = std::fs::read_to_string("/etc/ldap/schema/nis.schema").expect("read nis.schema");
    let (before, group) = nis.split_once("NAME 'posixGroup'").expect("nis.schema defines posixGroup");
    let group = group.replacen("STRUCTURAL", "AUXILIARY", 1).replacen("MUST ( cn $ gidNumber )", "MUST gidNumber", 1);
    let path = folder.join("rfc2307bis.schema");
    std::fs::write(&path, format!("{before}NAME 'posixGroup'{group}")).expect("write a schema");
    path.display().to_string()
}

fn schemas(folder: &Path, nis: &str) -> String {
    let mut text = String::new();
    for name in ["core", "cosine", "inetorgperson"] {
        let _ = writeln!(text, "include /etc/ldap/schema/{name}.schema");
    }
    let _ = writeln!(text, "include {nis}\ninclude {}", folder.join("states.schema").display());
    text
}

fn modules(builder: &SlapdBuilder) -> String {
    let overlays = [
        ("memberof", builder.memberof),
        ("refint", builder.refint),
        ("ppolicy", builder.ppolicy.is_some()),
        ("syncprov", builder.syncprov),
    ];
    let mut text = "modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload pw-sha2\n".to_owned();
    for (name, _) in overlays.into_iter().filter(|(_, wanted)| *wanted) {
        let _ = writeln!(text, "moduleload {name}");
    }
    text
}

fn global(builder: &SlapdBuilder, folder: &Path, ca: &Ca, certificate: &Issued) -> String {
    let suffix = &builder.suffix;
    let mut text = format!(
        "pidfile {folder}/slapd.pid\nargsfile {folder}/slapd.args\nthreads 4\nsizelimit {limit}\n\
         sockbuf_max_incoming_auth 268435455\nTLSCACertificateFile {ca}\nTLSCertificateFile {cert}\n\
         TLSCertificateKeyFile {key}\n\
         authz-regexp \"gidNumber=[0-9]+\\\\+uidNumber=[0-9]+,cn=peercred,cn=external,cn=auth\" \"cn=sync,ou=services,{suffix}\"\n\
         authz-regexp \"^cn=([^,]+)$\" \"cn=$1,ou=services,{suffix}\"\n",
        folder = folder.display(),
        limit = builder.size_limit,
        ca = ca.pem_path().display(),
        cert = certificate.cert.display(),
        key = certificate.key.display(),
    );
    if !builder.anonymous {
        text.push_str("disallow bind_anon\nrequire authc\n");
    }
    if !builder.plaintext {
        text.push_str("localSSF 256\nsecurity ssf=128\n");
    }
    if let Some(verify) = builder.client_certs {
        let _ = writeln!(text, "TLSVerifyClient {verify}");
    }
    lines(&mut text, &builder.global);
    text
}

fn database(builder: &SlapdBuilder, folder: &Path) -> String {
    let suffix = &builder.suffix;
    let mut text = format!(
        "sortvals member memberUid uniqueMember\ndatabase mdb\nsuffix \"{suffix}\"\nrootdn \"cn=root,{suffix}\"\n\
         rootpw {password}\ndirectory {folder}/db\nmaxsize 17179869184\ndbnosync\n\
         index objectClass,entryUUID,entryCSN eq\nindex uid,cn,mail,member,memberUid,uniqueMember,uidNumber,gidNumber eq\n\
         limits dn.exact=\"cn=sync,ou=services,{suffix}\" size=unlimited time=unlimited\n",
        password = Slapd::ROOT_PASSWORD,
        folder = folder.display(),
    );
    let readers = if builder.anonymous { "*" } else { "users" };
    lines(&mut text, &builder.access);
    let _ = write!(
        text,
        "access to attrs=userPassword by self =xw by anonymous auth by * none\n\
         access to dn.subtree=\"ou=groups,{suffix}\" by dn.exact=\"cn=blind,ou=services,{suffix}\" none by {readers} read\n\
         access to * by {readers} read by * none\n",
    );
    text
}

fn overlays(builder: &SlapdBuilder) -> String {
    let mut text = String::new();
    if builder.memberof {
        text.push_str("overlay memberof\nmemberof-dangling ignore\n");
    }
    if builder.refint {
        text.push_str("overlay refint\nrefint_attributes member uniqueMember roleOccupant memberOf\nrefint_nothing \"cn=nobody\"\n");
    }
    if builder.ppolicy.is_some() {
        let _ = write!(
            text,
            "overlay ppolicy\nppolicy_default \"cn=default,ou=policies,{}\"\nppolicy_use_lockout\n",
            builder.suffix
        );
    }
    if builder.syncprov {
        text.push_str("overlay syncprov\nsyncprov-sessionlog 10000\n");
    }
    lines(&mut text, &builder.database);
    text
}

fn lines(text: &mut String, lines: &[String]) {
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}
