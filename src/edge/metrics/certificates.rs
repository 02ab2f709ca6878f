//! Metrics of the certificates that are configured.

use prometheus_client::metrics::{family::Family, gauge::Gauge};

use super::registry::{Registry, labels};

labels! {
    CertificateLabels { certificate: &'static str }
}

/// The times at which the configured certificates expire.
#[derive(Debug)]
pub struct CertificateMetrics {
    expiry: Family<CertificateLabels, Gauge>,
}

impl CertificateMetrics {
    /// Creates the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let expiry = registry.gauges(
            "hookswitch_certificate_expiry_timestamp_seconds",
            "Unix time at which a configured certificate expires: the first of a chain, the last of a \
             file of CAs",
        );
        Self { expiry }
    }

    /// Shows these certificates and no others: the keys that name their files, and when they expire.
    pub fn show(&self, certificates: impl IntoIterator<Item = (&'static str, i64)>) {
        self.expiry.clear();
        for (certificate, expires) in certificates {
            self.expiry.get_or_create(&CertificateLabels { certificate }).set(expires);
        }
    }
}
