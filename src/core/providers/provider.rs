//! The list of providers.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{adapter::Adapter, schema::Schema};

/// Defines [`Provider`] with one variant per adapter module.
macro_rules! providers {
    ($($(#[$doc:meta])* $variant:ident = $module:ident,)*) => {
        /// A webhook format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Provider {
            $($(#[$doc])* $variant,)*
        }

        impl Provider {
            /// Every provider.
            pub const ALL: [Self; [$(stringify!($module)),*].len()] = [$(Self::$variant),*];

            /// Returns the provider's adapter.
            pub fn adapter(self) -> &'static Adapter {
                match self {
                    $(Self::$variant => &super::$module::ADAPTER,)*
                }
            }
        }
    };
}

providers! {
    /// A unified API over many CRMs and telephony systems.
    Morph = morph,
    /// A business phone.
    Allo = allo,
    /// A communications platform (CPaaS).
    Wavix = wavix,
    /// AI telephony.
    Salpre = salpre,
    /// A contact centre.
    Varda = varda,
}

impl Provider {
    /// Returns the name used in configuration, events and metrics.
    pub fn as_str(self) -> &'static str {
        self.adapter().name
    }

    /// Returns the HTTP headers that the provider's contract defines, in lower case and without those that
    /// carry a secret.
    pub fn headers(self) -> &'static [&'static str] {
        self.adapter().headers
    }

    /// Returns the parts of a body that may be shown without personal data.
    pub fn schema(self) -> &'static Schema {
        &self.adapter().schema
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text).ok_or(UnknownProvider)
    }
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is not the name of a [`Provider`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider, expected one of {}", Provider::ALL.map(Provider::as_str).join(", "))]
pub struct UnknownProvider;
