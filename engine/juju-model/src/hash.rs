//! Fingerprints: FNV-1a, the same on every machine and in every release.

/// The fingerprint of something's JSON.
pub(crate) fn hashed(parts: &impl serde::Serialize) -> u64 {
    let mut hash = Fnv::default();
    // Writing into a number cannot fail.
    drop(serde_json::to_writer(&mut hash, parts));
    hash.0
}

/// FNV-1a.
pub(crate) fn hash(text: &str) -> u64 {
    let mut hash = Fnv::default();
    hash.add(text.as_bytes());
    hash.0
}

/// FNV-1a of what is written into it.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl std::io::Write for Fnv {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
