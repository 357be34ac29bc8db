//! Getting a complete content out of the store as a file of its own, verified, all or nothing.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use tempfile::{Builder, NamedTempFile};

use super::{content::Content, table::Store};

impl Store {
    /// Makes the complete content the file `to`, which appears only once it is whole, verified and on the disk. A fetched content leaves
    /// the cache: where both are on one file system its bytes are moved, not copied. An existing file is replaced.
    ///
    /// What this process took in was verified then, and what it can read back is what the kernel still has of that writing; only what
    /// the cache held before is verified again.
    pub fn hand_over(&self, content: &Content, to: &Path) -> io::Result<()> {
        if content.is_shared() {
            return content.export(to);
        }
        content.check_complete()?;
        if content.recheck_found()? > 0 {
            return Err(damaged());
        }
        content.files.sync()?;
        let source = content.files.bytes_path();
        match part_name().make_in(folder_of(to), |name| fs::hard_link(&source, name)) {
            Ok(linked) => publish(linked, to)?,
            Err(error) => {
                tracing::debug!(%error, "the file cannot be moved out of the cache; it is copied");
                content.export(to)?;
            }
        }
        self.remove_partial(&content.content_id());
        Ok(())
    }
}

impl Content {
    /// Copies the complete content to `to`, which appears only once it is whole, verified and on the disk. Where the file system can,
    /// blocks are shared rather than copied. An existing file is replaced.
    pub fn export(&self, to: &Path) -> io::Result<()> {
        self.check_complete()?;
        let building = part_name().tempfile_in(folder_of(to))?;
        let mut source = File::open(self.files.bytes_path())?;
        let mut target = building.as_file();
        io::copy(&mut source, &mut target)?;
        target.sync_all()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap_rayon(building.path())?;
        if hasher.finalize().as_bytes() != self.content_id().as_bytes() {
            return Err(damaged());
        }
        publish(building, to)
    }

    fn check_complete(&self) -> io::Result<()> {
        if self.is_complete() { Ok(()) } else { Err(io::Error::other("the content is not complete")) }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the stored bytes are damaged; fetch the content again")
}

fn folder_of(to: &Path) -> &Path {
    to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// How a file is called until it is published.
fn part_name() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".rusteze-").suffix(".part");
    builder
}

/// Gives a finished file its name. A temporary or cached file may be private to its owner; a published one is an ordinary file.
fn publish<F>(building: NamedTempFile<F>, to: &Path) -> io::Result<()> {
    readable_as_usual(building.path())?;
    building.persist(to).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(unix)]
fn readable_as_usual(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_as_usual(_: &Path) -> io::Result<()> {
    Ok(())
}
