//! A throw-away Postgres: made, used and removed by one figure, durable as in production.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Outcome;

/// What a figure needs of an installation.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "psql"];

/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running server with one database, `postgres`, and one role of the same name.
pub struct Postgres {
    child: Child,
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// Makes a cluster in a temporary folder and starts it on a free port of the loopback.
    pub fn start() -> Outcome<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new()
            .prefix("madang-bench-pg-")
            .tempdir()?;
        let account = account(folder.path())?;
        let data = folder.path().join("data");

        let mut initdb = Command::new(programs.join("initdb"));
        initdb.arg("-D").arg(&data);
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]);
        account.apply(&mut initdb);
        let made = initdb.current_dir(folder.path()).output()?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)).into());
        }

        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Command::new(programs.join("postgres"));
        server.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        server.args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ]);
        account.apply(&mut server);
        let log = fs::File::create(folder.path().join("log"))?;
        let child = server
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let server = Self {
            child,
            folder,
            programs,
            port,
        };
        server.wait()?;
        Ok(server)
    }

    /// Its first process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// A folder that goes when the server goes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a file of SQL with `psql`, which stops at the first error; gives back what it printed.
    pub fn run_file(&self, file: &Path) -> Outcome<String> {
        self.psql([OsStr::new("-f"), file.as_os_str()])
    }

    /// Runs SQL with `psql`.
    pub fn run(&self, sql: &str) -> Outcome<String> {
        self.psql([OsStr::new("-c"), OsStr::new(sql)])
    }

    fn psql<const N: usize>(&self, arguments: [&OsStr; N]) -> Outcome<String> {
        let output = Command::new(self.programs.join("psql"))
            .args([
                "-X",
                "-A",
                "-t",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                &self.url(),
            ])
            .args(arguments)
            .output()?;
        if !output.status.success() {
            return Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn wait(&self) -> Outcome<()> {
        let deadline = Instant::now() + START_LIMIT;
        // Each question is a process of its own: pause enough.
        while let Err(error) = self.run("SELECT 1") {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(format!("Postgres does not start: {error}\n{log}").into());
            }
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An immediate shutdown: nothing in it is kept, but its shared memory is given back.
        let quit = Command::new("kill")
            .args(["-QUIT", &self.child.id().to_string()])
            .status();
        if !quit.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Whom the server runs as: Postgres refuses to be root.
struct Account(Option<(u32, u32)>);

impl Account {
    fn apply(&self, command: &mut Command) {
        if let Self(Some((user, group))) = *self {
            command.uid(user).gid(group);
        }
    }
}

/// For root, an account without rights that then owns the folder; otherwise oneself.
fn account(folder: &Path) -> Outcome<Account> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(Account(None));
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let ids = ["postgres:", "nobody:"].iter().find_map(|name| {
        let line = accounts.lines().find(|line| line.starts_with(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    let (user, group) = ids.ok_or("neither `postgres` nor `nobody` in /etc/passwd")?;
    chown(folder, Some(user), Some(group))?;
    Ok(Account(Some((user, group))))
}

/// The folder with `initdb`: on the path, or where distributions hide it; the newest wins.
fn programs() -> Outcome<PathBuf> {
    let complete = |folder: &Path| PROGRAMS.iter().all(|name| folder.join(name).is_file());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| complete(folder));
    let installed = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let folders = versions.flatten().map(|version| version.path().join("bin"));
        folders.filter(|folder| complete(folder)).max()
    };
    let found = on_path.or_else(installed);
    found.ok_or_else(|| "no Postgres here: `initdb` is neither on PATH nor in /usr/lib".into())
}
