//! Label selectors and the encoding of queries.

/// The selector that wants each of `labels` as it is.
pub fn label_selector(labels: &[(&str, &str)]) -> String {
    let parts: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    parts.join(",")
}

/// Percent-encodes what a path segment or a query value may not hold.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_survive_a_query() {
        let selector = label_selector(&[("app.kubernetes.io/name", "pg"), ("role", "primary")]);
        assert_eq!(selector, "app.kubernetes.io/name=pg,role=primary");
        assert_eq!(encode(&selector), "app.kubernetes.io%2Fname%3Dpg%2Crole%3Dprimary");
    }
}
