//! A certificate authority of the test's own, made on the spot. Its keys are worth nothing.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// A private CA whose files lie in a folder of the test.
#[derive(Debug)]
pub struct Ca {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key, PKCS #8.
    pub key: PathBuf,
}

impl Ca {
    /// Makes a CA and writes its certificate to `ca.pem` in the folder.
    pub fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Bindery test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("make a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("sign the CA");
        let ca = Self { folder: folder.to_owned(), issuer };
        std::fs::write(ca.pem_path(), ca.issuer.pem()).expect("write ca.pem");
        ca
    }

    /// The CA certificate's file.
    pub fn pem_path(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Issues a server certificate for these names and addresses.
    pub fn server(&self, file: &str, names: &[&str]) -> Issued {
        self.issue(file, "server", names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues a client certificate with this common name.
    pub fn client(&self, file: &str, common_name: &str) -> Issued {
        self.issue(file, common_name, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, file: &str, common_name: &str, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Issued {
        let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).expect("names for a certificate");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("make a key");
        let cert = params.signed_by(&key, &self.issuer).expect("sign a certificate");
        let issued =
            Issued { cert: self.folder.join(format!("{file}.pem")), key: self.folder.join(format!("{file}.key")) };
        std::fs::write(&issued.cert, cert.pem()).expect("write a certificate");
        std::fs::write(&issued.key, key.serialize_pem()).expect("write a key");
        issued
    }
}
