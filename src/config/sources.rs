//! What the keys of a source come to: its authentication and its sharding.

use super::{
    items::Parts,
    keys::{AuthKeys, ShardKeys},
    scheme::Scheme,
    secret::{REDACTED, Secret},
};
use crate::core::{auth::Auth, shard::Sharding};

impl Parts for AuthKeys {
    type Whole = Auth;

    fn assemble(self) -> Option<Auth> {
        let secrets = || self.auth.secrets(self.secret.as_ref()?, self.second_secret.as_ref());
        match self.auth {
            Scheme::None => Some(Auth::None),
            Scheme::HeaderToken => Some(Auth::HeaderToken { secrets: secrets()?, header: self.auth_header? }),
            Scheme::Basic => Some(Auth::Basic { secrets: secrets()?, user: self.auth_user? }),
            Scheme::Hmac => Some(Auth::Hmac {
                secrets: secrets()?,
                header: self.auth_header?,
                prefix: self.auth_prefix?,
                algorithm: self.auth_algorithm?,
                encoding: self.auth_encoding?,
            }),
            Scheme::Varda => Some(Auth::Varda { secrets: secrets()?, tolerance: self.auth_tolerance? }),
            Scheme::StandardWebhooks => {
                Some(Auth::StandardWebhooks { secrets: secrets()?, tolerance: self.auth_tolerance? })
            }
        }
    }

    fn of(whole: &Auth) -> Self {
        let none = Self {
            auth: Scheme::None,
            auth_header: None,
            auth_user: None,
            auth_prefix: None,
            auth_algorithm: None,
            auth_encoding: None,
            auth_tolerance: None,
            secret: None,
            second_secret: None,
        };
        let (keys, secrets) = match whole {
            Auth::None => return none,
            Auth::HeaderToken { header, secrets } => {
                (Self { auth: Scheme::HeaderToken, auth_header: Some(header.clone()), ..none }, secrets)
            }
            Auth::Basic { user, secrets } => {
                (Self { auth: Scheme::Basic, auth_user: Some(user.clone()), ..none }, secrets)
            }
            Auth::Hmac { header, prefix, algorithm, encoding, secrets } => {
                let keys = Self {
                    auth: Scheme::Hmac,
                    auth_header: Some(header.clone()),
                    auth_prefix: Some(prefix.clone()),
                    auth_algorithm: Some(*algorithm),
                    auth_encoding: Some(*encoding),
                    ..none
                };
                (keys, secrets)
            }
            Auth::Varda { secrets, tolerance } => {
                (Self { auth: Scheme::Varda, auth_tolerance: Some(*tolerance), ..none }, secrets)
            }
            Auth::StandardWebhooks { secrets, tolerance } => {
                (Self { auth: Scheme::StandardWebhooks, auth_tolerance: Some(*tolerance), ..none }, secrets)
            }
        };
        let redacted = |number: usize| (secrets.count() >= number).then(|| Secret::new(REDACTED));
        Self { secret: redacted(1), second_secret: redacted(2), ..keys }
    }
}

impl Parts for ShardKeys {
    type Whole = Sharding;

    fn assemble(self) -> Option<Sharding> {
        Some(Sharding::new(self.shards, self.shard_by))
    }

    fn of(whole: &Sharding) -> Self {
        Self { shards: whole.count(), shard_by: whole.by().cloned() }
    }
}
