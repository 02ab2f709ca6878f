//! Patterns of routing keys, matched as a topic exchange matches them.

/// Returns whether a routing key matches a pattern: `*` stands for one word and `#` for any number of words.
pub fn is_match(pattern: &str, key: &str) -> bool {
    let words: Vec<_> = key.split('.').collect();
    // At each index: whether the pattern so far matches that many words.
    let mut matched = vec![false; words.len() + 1];
    matched[0] = true;
    for part in pattern.split('.') {
        let mut next = vec![false; matched.len()];
        for index in 0..matched.len() {
            next[index] = match (part, index.checked_sub(1)) {
                ("#", before) => matched[index] || before.is_some_and(|before| next[before]),
                (_, None) => false,
                (part, Some(before)) => matched[before] && (part == "*" || part == words[before]),
            };
        }
        matched = next;
    }
    matched.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_matches_as_in_a_topic_exchange() {
        let key = "call.transcript.completed.varda-eu";
        for pattern in [
            key,
            "#",
            "call.#",
            "#.varda-eu",
            "call.*.*.varda-eu",
            "*.*.*.*",
            "#.completed.#",
            "call.#.#.*",
            "call.transcript.completed.varda-eu.#",
            "#.call.#.transcript.#",
        ] {
            assert!(is_match(pattern, key), "{pattern}");
        }
        for pattern in ["call", "call.*", "*", "*.*.*", "call.#.varda", "#.*.#.*.*.*.*", "transcript.#", ""] {
            assert!(!is_match(pattern, key), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_of_many_wildcards_takes_no_time() {
        let pattern = vec!["#"; 128].join(".") + ".x";
        assert!(!is_match(&pattern, &vec!["call"; 32].join(".")));
    }
}
