//! A Postgres of our own: a cluster in a temporary folder, on a free port, without root.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::process::Process;
use super::{eventually, free_port};

/// A running server and where it keeps its data.
pub struct Postgres {
    folder: TempDir,
    port: u16,
    process: Process,
}

/// One server for all tests that do not hurt it; its guardian ends it with the test process.
static SHARED: OnceCell<Postgres> = OnceCell::const_new();
/// Makes the names of databases differ.
static DATABASES: AtomicU32 = AtomicU32::new(0);

impl Postgres {
    /// The server that all tests of this run share.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    /// A server of one's own, to be stopped and killed at will.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("madang-postgres-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .expect("a temporary folder");
        if let Some((user, group)) = servant() {
            chown(folder.path(), Some(user), Some(group)).expect("root may give folders away");
        }
        let made = program("initdb")
            .args(["--auth=trust", "--username=madang", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(folder.path().join("data"))
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = free_port();
        let process = launch(folder.path(), port);
        let mut server = Self {
            folder,
            port,
            process,
        };
        server.ready().await;
        server
    }

    /// The address of a database that did not exist before.
    pub async fn database(&self) -> String {
        let name = format!("madang_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        // Nobody can be connected to this template, so that it can be copied at any time.
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        self.run("postgres", &create);
        self.url(&name)
    }

    /// Runs statements in one of the server's databases.
    pub fn run(&self, database: &str, statements: &str) {
        PgConnection::establish(&self.url(database))
            .expect("Postgres takes connections")
            .batch_execute(statements)
            .expect("the statements are sound");
    }

    /// Stops all of it at once (`kill -9`); what was committed is on disk.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts again, on the same data and port.
    pub async fn restart(&mut self) {
        self.process.kill();
        let folder = self.folder.path().to_owned();
        let (port, url) = (self.port, self.url("postgres"));
        self.process = launch(&folder, port);
        eventually("Postgres is back", Duration::from_secs(20), async || {
            // Children of the killed server hold its shared memory for a moment: then it ends.
            if self.process.ended().is_some() {
                self.process = launch(&folder, port);
            }
            PgConnection::establish(&url).ok()
        })
        .await;
    }

    async fn ready(&mut self) {
        let url = self.url("postgres");
        eventually(
            "Postgres takes connections",
            Duration::from_secs(20),
            async || {
                assert!(self.process.ended().is_none(), "{}", self.log());
                PgConnection::establish(&url).ok()
            },
        )
        .await;
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://madang@{}/{database}", self.address())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// `fsync=off` is fair here: tests kill processes, never the machine.
fn launch(folder: &Path, port: u16) -> Process {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log in our own folder");
    let mut command = program("postgres");
    command
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-p", &port.to_string()])
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
        .args(["-c", "max_connections=300", "-c", "shared_buffers=64MB"])
        .stdout(log.try_clone().expect("a file has a second handle"))
        .stderr(log);
    Process::spawn(&mut command, Some(folder))
}

/// One of Postgres' programs, as somebody who is not root: it refuses to run as root.
fn program(name: &str) -> Command {
    let mut command = Command::new(installed().join(name));
    command.current_dir(std::env::temp_dir());
    if let Some((user, group)) = servant() {
        command.uid(user).gid(group);
    }
    command
}

/// The newest installation below `/usr/lib/postgresql`, or the one in `PATH`.
fn installed() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = versions
        .filter(|version| version.path().join("bin/initdb").exists())
        .max_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().ok());
    if let Some(version) = newest {
        return version.path().join("bin");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| folder.join("initdb").exists())
        .expect("Postgres is not installed: `make test` installs it")
}

/// Whom to be instead of root: user and group, or nobody when we are not root anyway.
fn servant() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let ours = std::fs::metadata("/proc/self")
        .expect("/proc is mounted")
        .uid();
    if ours != 0 {
        return None;
    }
    let people = std::fs::read_to_string("/etc/passwd").expect("a list of users");
    let find = |name: &str| {
        let line = people
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    Some(
        find("postgres")
            .or_else(|| find("nobody"))
            .expect("somebody who is not root"),
    )
}
