//! Copying a complete content out of the store, verified, all or nothing.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use super::content::Content;

impl Content {
    /// Copies the complete content to `to`, which appears only once it is whole, verified and on the disk. Where the file system can,
    /// blocks are shared rather than copied. An existing file is replaced.
    pub fn export(&self, to: &Path) -> io::Result<()> {
        if !self.is_complete() {
            return Err(io::Error::other("the content is not complete"));
        }
        let folder =
            to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let building = tempfile::Builder::new().prefix(".rusteze-").suffix(".part").tempfile_in(folder)?;
        let mut source = File::open(self.files.bytes_path())?;
        let mut target = building.as_file();
        io::copy(&mut source, &mut target)?;
        target.sync_all()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap_rayon(building.path())?;
        if hasher.finalize().as_bytes() != self.content_id().as_bytes() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the stored bytes are damaged; fetch the content again",
            ));
        }
        readable_as_usual(building.path())?;
        building.persist(to).map_err(|error| error.error)?;
        Ok(())
    }
}

/// A temporary file is private to its owner; an exported one is an ordinary file.
#[cfg(unix)]
fn readable_as_usual(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_as_usual(_: &Path) -> io::Result<()> {
    Ok(())
}
