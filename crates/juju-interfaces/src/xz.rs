//! The container format `.xz` around bytes as they are: what its readers unpack, without the code
//! that would pack.

/// The most bytes of a chunk.
const CHUNK: usize = 1 << 16;
/// Each block is checked by a CRC-32.
const FLAGS: [u8; 2] = [0, 1];

/// The bytes in a stream of one block.
pub(crate) fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"\xfd7zXZ\0".to_vec();
    out.extend(FLAGS);
    out.extend(crc32(&FLAGS).to_le_bytes());
    let start = out.len();
    // Of one filter, LZMA2, whose dictionary has the least size.
    let header = [2, 0, 0x21, 1, 0, 0, 0, 0];
    out.extend(header);
    out.extend(crc32(&header).to_le_bytes());
    for (index, chunk) in bytes.chunks(CHUNK).enumerate() {
        // The first resets the dictionary.
        out.push(if index == 0 { 1 } else { 2 });
        let size = u16::try_from(chunk.len() - 1).unwrap_or(u16::MAX);
        out.extend(size.to_be_bytes());
        out.extend(chunk);
    }
    out.push(0);
    let unpadded = out.len() - start + 4;
    pad(&mut out);
    out.extend(crc32(bytes).to_le_bytes());
    let index = index(unpadded, bytes.len());
    let mut footer = u32::try_from(index.len() / 4 - 1).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    footer.extend(FLAGS);
    out.extend(index);
    out.extend(crc32(&footer).to_le_bytes());
    out.extend(footer);
    out.extend(b"YZ");
    out
}

/// Where the one block ends, and how much is in it.
fn index(unpadded: usize, uncompressed: usize) -> Vec<u8> {
    let mut out = vec![0, 1];
    number(&mut out, unpadded);
    number(&mut out, uncompressed);
    pad(&mut out);
    let sum = crc32(&out);
    out.extend(sum.to_le_bytes());
    out
}

/// Seven bits a byte, the low ones first.
fn number(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_sum_is_the_one_that_all_know() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    /// Python's own module, which the reader's library uses, gets back what went in.
    #[test]
    fn what_was_stored_is_unpacked() {
        let unpack = "import lzma, sys; i, o = sys.stdin.buffer, sys.stdout.buffer; \
                      o.write(lzma.decompress(i.read()))";
        for size in [0, 1, 3, 127, 128, 65_535, 65_536, 65_537, 200_000] {
            let bytes: Vec<u8> = (0..size).map(|number: u32| (number % 251) as u8).collect();
            let mut python = Command::new("python3")
                .args(["-c", unpack])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            python.stdin.take().unwrap().write_all(&stored(&bytes)).unwrap();
            let got = python.wait_with_output().unwrap();
            assert!(got.status.success() && got.stdout == bytes, "{size} bytes");
        }
    }
}
