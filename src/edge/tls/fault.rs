//! Why a handshake failed, and which setting to look at.

use std::{error::Error, io, sync::Arc};

use rustls::{AlertDescription as Alert, CertificateError as Certificate};

/// Why a connection to a service has no TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server does not speak TLS.
    NotTls,
    /// The server's certificate is from a CA that is not trusted here.
    UnknownAuthority,
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is not valid yet.
    NotYetValid,
    /// The server's certificate is for other names.
    OtherName,
    /// The server asks for a certificate, and was shown none.
    NonePresented,
    /// The server does not accept the certificate that it was shown.
    Refused,
    /// The server cut the connection, as one may that was shown no certificate or another one than it asks
    /// for: what it said of that is lost with what it had not read.
    Cut,
    /// Anything else.
    Other,
}

impl Fault {
    /// Finds the error of TLS in an error and those under it. `None` if there is none.
    pub fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = error.downcast_ref() {
                return Some(Self::of(tls));
            }
            // An error of I/O leaves out the error that it holds when it is asked for its source, and so does
            // what shares one.
            next = if let Some(io) = error.downcast_ref::<io::Error>() {
                io.get_ref().map(|inner| -> &(dyn Error + 'static) { inner })
            } else if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
                Some(&**shared)
            } else {
                error.source()
            };
        }
        None
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls has more errors, which no setting mends")]
    fn of(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                Certificate::UnknownIssuer | Certificate::BadSignature => Self::UnknownAuthority,
                Certificate::Expired | Certificate::ExpiredContext { .. } => Self::Expired,
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => Self::NotYetValid,
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Self::OtherName,
                _ => Self::Other,
            },
            // A server with TLS 1.2 says only that the handshake failed.
            rustls::Error::AlertReceived(Alert::CertificateRequired | Alert::HandshakeFailure) => {
                Self::NonePresented
            }
            rustls::Error::AlertReceived(
                Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError,
            ) => Self::Refused,
            _ => Self::Other,
        }
    }

    /// Returns what to do about it. `section` is that of the service in the configuration.
    pub fn advice(self, section: &str) -> String {
        match self {
            Self::NotTls => {
                format!("the port does not speak TLS: check the port and the scheme in {section}.url")
            }
            Self::UnknownAuthority => {
                format!(
                    "its certificate is from a CA that is not trusted here: set {section}.tls_ca_file to \
                     that CA"
                )
            }
            Self::Expired => "its certificate has expired: renew it there".to_owned(),
            Self::NotYetValid => {
                "its certificate is not valid yet: check the clocks of both machines".to_owned()
            }
            Self::OtherName => {
                format!("its certificate is for other names: write one of them as the host in {section}.url")
            }
            Self::NonePresented => format!(
                "it asks for a certificate: set {section}.tls_certificate_file and {section}.tls_key_file"
            ),
            Self::Refused => format!(
                "it refuses the certificate in {section}.tls_certificate_file: check that it has not expired \
                 and that its CA is trusted there"
            ),
            Self::Cut => format!(
                "it cut the connection: if it asks for a certificate, check {section}.tls_certificate_file \
                 and {section}.tls_key_file"
            ),
            Self::Other => format!("check {section}.url, and the certificates of both sides"),
        }
    }
}
