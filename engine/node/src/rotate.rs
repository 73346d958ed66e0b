//! Logs that do not grow for ever: as many files of such a size as kubelet keeps.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A log that is longer is set aside.
const LENGTH_MAX: u64 = 10 << 20;

/// Files kept of a log, the one that is written to included.
const FILES_MAX: u32 = 5;

/// Sets a log aside that has grown too long. Its writer must append: it goes on with the same file,
/// which is empty afterwards. Does nothing when there is no such file.
///
/// # Errors
/// When a file cannot be written or renamed; nothing is lost then.
pub fn rotate(log: &Path) -> io::Result<()> {
    rotate_at(log, LENGTH_MAX, FILES_MAX)
}

fn rotate_at(log: &Path, length_max: u64, files_max: u32) -> io::Result<()> {
    let mut file = match File::options().read(true).write(true).open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let length = file.metadata()?.len();
    if length <= length_max {
        return Ok(());
    }
    // What was written at once beyond a file's length is cut at its beginning.
    file.seek(SeekFrom::Start(length - length_max))?;
    let part = numbered(log, 0);
    io::copy(&mut (&mut file).take(length_max), &mut File::create(&part)?)?;
    for number in (1..files_max - 1).rev() {
        match std::fs::rename(numbered(log, number), numbered(log, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::rename(part, numbered(log, 1))?;
    file.set_len(0)
}

fn numbered(log: &Path, number: u32) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn five_files_are_kept_and_the_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        rotate_at(&log, 10, 5).unwrap();
        let mut writer = File::options().create(true).append(true).open(&log).unwrap();
        for line in 0..9 {
            writeln!(writer, "a line of {line}").unwrap();
            rotate_at(&log, 10, 5).unwrap();
        }
        writeln!(writer, "short").unwrap();
        rotate_at(&log, 10, 5).unwrap();
        let mut found: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, ["log", "log.1", "log.2", "log.3", "log.4"]);
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("log"), "short\n");
        assert_eq!(read("log.1"), "line of 8\n");
        assert_eq!(read("log.4"), "line of 5\n");
    }
}
