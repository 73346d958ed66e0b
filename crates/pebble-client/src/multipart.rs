//! The multipart bodies of Pebble's file requests.

use memchr::memmem::Finder;

/// One part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// The field's name.
    pub(crate) name: &'a str,
    /// The file's path in the container, by which Pebble finds it in the request part.
    pub(crate) path: Option<&'a str>,
    /// The bytes.
    pub(crate) content: &'a [u8],
}

/// The least length of a boundary that Pebble accepts is 32.
const BOUNDARY: &str = "talisman-0123456789abcdef0123456789abcdef";

/// A boundary that no part contains.
pub(crate) fn boundary(parts: &[Part<'_>]) -> String {
    let taken = |boundary: &str| {
        let wanted = Finder::new(boundary);
        parts.iter().any(|part| wanted.find(part.content).is_some())
    };
    let mut boundary = BOUNDARY.to_owned();
    let mut number = 0_u64;
    while taken(&boundary) {
        number += 1;
        boundary = format!("{BOUNDARY}-{number}");
    }
    boundary
}

/// The parts as a body: those with a path as files, the others as JSON.
pub(crate) fn write(parts: &[Part<'_>], boundary: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let name = part.name;
        let head = match part.path {
            None => format!("form-data; name=\"{name}\"\r\nContent-Type: application/json"),
            Some(path) => {
                let path = path.replace('\\', "\\\\").replace('"', "\\\"");
                format!(
                    "form-data; name=\"{name}\"; filename=\"{path}\"\r\n\
                     Content-Type: application/octet-stream"
                )
            }
        };
        let head = format!("--{boundary}\r\nContent-Disposition: {head}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(part.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

/// The parts of a body, given its `Content-Type`; `None` when it is malformed.
pub(crate) fn read<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let boundary = content_type.split_once("boundary=")?.1;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let next = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(&next.as_bytes()[2..])?;
    let (next, blank) = (Finder::new(&next), Finder::new(b"\r\n\r\n"));
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let inside = rest.strip_prefix(b"\r\n")?;
        let end = next.find(inside)?;
        parts.push(part(&inside[..end], &blank)?);
        rest = &inside[end + next.needle().len()..];
    }
    Some(parts)
}

fn part<'a>(text: &'a [u8], blank: &Finder<'_>) -> Option<Part<'a>> {
    let blank = blank.find(text)?;
    let head = std::str::from_utf8(&text[..blank]).ok()?;
    let name = head.split_once("name=\"")?.1.split('"').next()?;
    let path = head.split_once("filename=\"").and_then(|(_, rest)| rest.split('"').next());
    Some(Part { name, path, content: &text[blank + 4..] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_even_if_they_hold_the_boundary() {
        let nasty = format!("\r\n--{BOUNDARY}\r\n--");
        let parts = [
            Part { name: "request", path: None, content: b"{}" },
            Part { name: "files", path: Some("/a b"), content: nasty.as_bytes() },
            Part { name: "files", path: Some("/c"), content: b"" },
        ];
        let boundary = boundary(&parts);
        let body = write(&parts, &boundary);
        let kind = format!("multipart/form-data; boundary=\"{boundary}\"");
        assert_eq!(read(&kind, &body), Some(parts.into()));
        assert_eq!(read(&kind, &body[..body.len() - 10]), None);
        assert_eq!(read("text/plain", &body), None);
    }
}
