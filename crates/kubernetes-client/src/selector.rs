//! Label selectors.

/// The selector that wants each of `labels` as it is.
pub fn label_selector(labels: &[(&str, &str)]) -> String {
    let parts: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http1_client::encode;

    #[test]
    fn selectors_survive_a_query() {
        let selector = label_selector(&[("app.kubernetes.io/name", "pg"), ("role", "primary")]);
        assert_eq!(selector, "app.kubernetes.io/name=pg,role=primary");
        assert_eq!(encode(&selector), "app.kubernetes.io%2Fname%3Dpg%2Crole%3Dprimary");
    }
}
