//! How values are written in a head.

/// Returns whether a value equals its default, so that it can be omitted.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Values that are written as text.
pub(super) mod text {
    use std::{borrow::Cow, fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde requires")]
    pub(in crate::core::delivery) fn serialize<S: Serializer, T: Display>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    /// Reads none where the text is not understood: that must not cost the webhook.
    pub(in crate::core::delivery) fn deserialize<'de, D: Deserializer<'de>, T: FromStr>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(from)?;
        Ok(text.and_then(|text| text.parse().ok()))
    }
}
