//! The versions of RabbitMQ that hookswitch should run on.

/// The oldest version without a known bug that can lose, or hold up for good, what a cluster has confirmed:
/// docs/rabbitmq-versions.md lists them.
const FLOOR: [u32; 3] = [4, 3, 4];

/// Returns what to do about a version that is too old; none if it is new enough, or says nothing.
pub fn advice(version: &str) -> Option<String> {
    let mut numbers = version.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    let version_is = [numbers.next()?, numbers.next()?, numbers.next().unwrap_or(0)];
    let [major, minor, patch] = FLOOR;
    (version_is < FLOOR).then(|| {
        format!(
            "RabbitMQ {version} has known bugs that can lose messages of a cluster, or hold them up: use \
             {major}.{minor}.{patch} or newer (docs/rabbitmq-versions.md)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn versions_below_the_floor_are_named_and_no_others() {
        for old in ["3.10.8", "4.0.5", "4.2.8", "4.3.0-rc.1", "4.3.3"] {
            assert!(advice(old).is_some_and(|text| text.contains(old) && text.contains("4.3.4")), "{old}");
        }
        for new in ["4.3.4", "4.3.6", "4.4.0", "10.0", "", "unknown"] {
            assert_eq!(advice(new), None, "{new}");
        }
    }
}
