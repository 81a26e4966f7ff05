//! A node of its own: the release binary as anyone would start it, on a fresh database.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use madang::db::{Db, OpenOptions};
use tempfile::TempDir;

use crate::postgres::Postgres;
use crate::proc::{self, Memory};
use crate::{Outcome, token};

/// What the node prints when it serves, before its address.
const READY: &str = "madang is listening on http://";

/// Limits that are there for people and would hide what is measured.
const LIMITS_OFF: [&str; 8] = [
    "MADANG_LIMIT_CONNECTIONS",
    "MADANG_LIMIT_CONNECTIONS_PER_ADDRESS",
    "MADANG_LIMIT_FRAMES_PER_SECOND",
    "MADANG_LIMIT_JOINS_PER_SECOND",
    "MADANG_LIMIT_PUBLISH_PER_SECOND",
    "MADANG_LIMIT_READS_PER_SECOND",
    "MADANG_LIMIT_ROOM_PUBLISH_PER_SECOND",
    "MADANG_LIMIT_SIGNUPS_PER_MINUTE",
];

/// Where a node keeps its events. Outlives the node, so that another can be started on it.
pub enum Database {
    /// A file in a folder of its own.
    Sqlite(TempDir),
    /// A server of its own.
    Postgres(Box<Postgres>),
}

impl Database {
    /// An empty SQLite file.
    pub fn sqlite() -> Outcome<Self> {
        Ok(Self::Sqlite(
            tempfile::Builder::new().prefix("madang-bench-").tempdir()?,
        ))
    }

    /// An empty Postgres.
    pub fn postgres() -> Outcome<Self> {
        Ok(Self::Postgres(Box::new(Postgres::start()?)))
    }

    /// What tables call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "Postgres",
        }
    }

    /// Opens it without a node.
    pub fn open(&self) -> Outcome<Db> {
        Ok(Db::open(&self.url(), &OpenOptions::default())?)
    }

    /// The value of `DATABASE_URL`.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}/madang.db", folder.path().display()),
            Self::Postgres(server) => server.url(),
        }
    }
}

/// A running node.
pub struct Node {
    child: Child,
    /// Its working folder, where it logs.
    folder: TempDir,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to the line that says it is ready.
    pub start_up: Duration,
}

impl Node {
    /// Starts a node on this database and waits until it serves.
    pub fn start(database: &Database) -> Outcome<Self> {
        Self::start_with(database, &[])
    }

    /// The same with more settings.
    pub fn start_with(database: &Database, settings: &[(&str, String)]) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("madang-bench-").tempdir()?;
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_madang"))
            .current_dir(folder.path())
            .env("MADANG_LISTEN", "127.0.0.1:0")
            .env("DATABASE_URL", database.url())
            .env("MADANG_JWT_SECRET", token::SECRET)
            .env("MADANG_AUTO_PROVISION", "true")
            .envs(LIMITS_OFF.map(|limit| (limit, "0")))
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("node.log"))?)
            .spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("the node has no output")?);
        let address = ready_address(output);
        let start_up = started.elapsed();
        let placeholder = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut node = Self {
            child,
            folder,
            address: placeholder,
            start_up,
        };
        node.address = address.map_err(|error| format!("{error}\n{}", node.log()))?;
        Ok(node)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time so far.
    pub fn cpu(&self) -> Outcome<Duration> {
        proc::cpu(self.pid())
    }

    /// Memory right now.
    pub fn memory(&self) -> Outcome<Memory> {
        proc::memory(self.pid())
    }

    /// One of the numbers that it tells at `/metrics`.
    pub fn metric(&self, name: &str) -> Outcome<f64> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let of_name = |line: &str| {
            line.strip_prefix(name)?
                .strip_prefix(' ')?
                .trim()
                .parse()
                .ok()
        };
        let value = page.lines().find_map(of_name);
        value.ok_or_else(|| format!("no {name} in {page}").into())
    }

    /// The end of what it has logged.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("node.log")).unwrap_or_default();
        let from = log.len().saturating_sub(2000);
        log.get(from..).unwrap_or(&log).to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the line that names the address, and lets the rest of the output go.
fn ready_address(mut output: impl BufRead + Send + 'static) -> Outcome<SocketAddr> {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        if output.read_line(&mut line)? == 0 {
            return Err(format!("the node did not start: {said}").into());
        }
        if let Some((_, address)) = line.split_once(READY) {
            let address = address
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .parse()?;
            std::thread::spawn(move || io::copy(&mut output, &mut io::sink()));
            return Ok(address);
        }
        said.push_str(&line);
    }
}
