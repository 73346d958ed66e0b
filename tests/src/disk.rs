//! A disk that can be filled.

use std::process::Command;

use anyhow::{Result, ensure};

/// A small file system in the place of an instance's folder, for as long as this lives.
pub struct SmallDisk(String);

impl SmallDisk {
    /// Mounts one of so many MiB, before the instance is up.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn mount(instance: &str, mebibytes: u32) -> Result<Self> {
        let folder = format!("/var/lib/talisman/{instance}");
        std::fs::create_dir_all(&folder)?;
        let size = format!("size={mebibytes}m");
        let mount = ["-t", "tmpfs", "-o", &size, "tmpfs", &folder];
        ensure!(Command::new("mount").args(mount).status()?.success(), "cannot mount a small disk");
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn folder(&self) -> &str {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").args(["--lazy", &self.0]).status().ok();
    }
}
