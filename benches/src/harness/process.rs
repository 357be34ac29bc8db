//! One program: started with a log, watched through `/proc`, ended by its id.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// A running program of the workspace. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
    namespace: Option<String>,
}

impl Program {
    /// Starts `binary` with its output appended to `log`, inside a network namespace if one is named.
    pub fn start(binary: &str, arguments: &[String], namespace: Option<&str>, log: &Path) -> Result<Self> {
        let path = binary_path(binary)?;
        // `ip netns exec` replaces itself by the program, so the id is the program's.
        let mut command = match namespace {
            None => Command::new(path),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(path);
                command
            }
        };
        let out = File::options().create(true).append(true).open(log)?;
        let level = env::var("RUST_LOG").unwrap_or_else(|_| "info".into());
        let child = command
            .args(arguments)
            .env("RUST_LOG", level)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {binary}"))?;
        Ok(Self { child, log: log.into(), namespace: namespace.map(ToOwned::to_owned) })
    }

    /// Starts the same program again, after it ended.
    pub fn restart(&mut self, binary: &str, arguments: &[String]) -> Result<()> {
        self.kill_hard()?;
        *self = Self::start(binary, arguments, self.namespace.clone().as_deref(), &self.log.clone())?;
        Ok(())
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill_hard(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self, patience: Duration) -> Result<ExitStatus> {
        let sent = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        anyhow::ensure!(sent.success(), "cannot signal process {}", self.pid());
        self.wait(patience)
    }

    /// Waits for the end.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("still running after {} s; its log:\n{}", patience.as_secs(), self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// An error with the end of the log if the program is no more.
    pub fn check_alive(&self) -> Result<()> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The state follows the parenthesised name; Z is a zombie.
        let is_alive = stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'));
        if !is_alive {
            bail!("the program ended; its log:\n{}", self.log_tail());
        }
        Ok(())
    }

    /// Resident memory now, in bytes.
    pub fn rss_bytes(&self) -> Result<u64> {
        self.status_kib("VmRSS:").map(|kib| kib * 1024)
    }

    /// The most resident memory so far, in bytes.
    pub fn peak_rss_bytes(&self) -> Result<u64> {
        self.status_kib("VmHWM:").map(|kib| kib * 1024)
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn status_kib(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find(|line| line.starts_with(field)).context("no such field")?;
        Ok(line.split_whitespace().nth(1).context("no value")?.parse()?)
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means it is gone already, which is what is wanted.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
        if std::thread::panicking() {
            let copy = env::temp_dir().join(format!("rusteze-failed-{}.log", self.pid()));
            drop(fs::copy(&self.log, copy));
        }
    }
}

/// Where the workspace's programs were built: beside the test that runs.
fn binary_path(binary: &str) -> Result<PathBuf> {
    let test = env::current_exe()?;
    let folder = test.ancestors().nth(2).context("a test lies in target/PROFILE/deps")?;
    let path = folder.join(binary);
    if !path.exists() {
        bail!("{} is not built; run `cargo build --workspace --bins` first, or `make test`", path.display());
    }
    Ok(path)
}
