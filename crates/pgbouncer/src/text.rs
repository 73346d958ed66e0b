//! What a text may hold.

/// Whether a text has control characters.
pub(crate) fn has_control(text: &str) -> bool {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte);
    !text.bytes().all(plain) && text.chars().any(char::is_control)
}
