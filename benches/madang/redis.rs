//! A throw-away Redis: durable as `docs/OPERATIONS.md` wants it, and asked what it has done.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Client, Cmd, Connection, FromRedisValue};
use tempfile::TempDir;

use crate::{Outcome, pause};

/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running, empty server.
pub struct Redis {
    child: Child,
    folder: TempDir,
    port: u16,
}

/// What the server has done so far.
#[derive(Clone, Copy, Default)]
pub struct Done {
    /// Scripts called by their digest.
    pub scripts: u64,
    /// Reads of sockets: what travels together is one.
    pub reads: u64,
    /// Processor seconds.
    pub cpu: f64,
}

impl Redis {
    /// Starts a server on a free port of the loopback.
    pub fn start() -> Outcome<Self> {
        let folder = tempfile::Builder::new()
            .prefix("madang-bench-redis-")
            .tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = fs::File::create(folder.path().join("log"))?;
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--appendonly", "yes", "--appendfsync", "everysec"])
            .args(["--maxmemory-policy", "noeviction", "--save", ""])
            .arg("--dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("redis-server: {error}"))?;
        let server = Self {
            child,
            folder,
            port,
        };
        server.wait()?;
        Ok(server)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where nodes find it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection of one's own.
    pub fn connect(&self) -> Outcome<Connection> {
        Ok(Client::open(self.url())?.get_connection()?)
    }

    /// Asks one thing.
    pub fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Outcome<T> {
        Ok(command.query(&mut self.connect()?)?)
    }

    /// How often a command was called, also by scripts.
    pub fn calls(&self, command: &str) -> Outcome<u64> {
        let all = self.info("commandstats")?;
        let start = format!("cmdstat_{command}:calls=");
        Ok(number(&all, &start).unwrap_or_default() as u64)
    }

    /// What it has done so far.
    pub fn done(&self) -> Outcome<Done> {
        let all = self.info("everything")?;
        let get = |name: &str| number(&all, &format!("{name}:")).unwrap_or_default();
        Ok(Done {
            scripts: self.calls("evalsha")?,
            reads: get("total_reads_processed") as u64,
            cpu: get("used_cpu_user") + get("used_cpu_sys"),
        })
    }

    fn info(&self, section: &str) -> Outcome<String> {
        self.ask(redis::cmd("INFO").arg(section))
    }

    fn wait(&self) -> Outcome<()> {
        let deadline = Instant::now() + START_LIMIT;
        while let Err(error) = self.ask::<String>(&redis::cmd("PING")) {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(format!("Redis does not start: {error}\n{log}").into());
            }
            pause(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Done {
    /// What has been done since `before`, for each of so many messages.
    pub fn each(self, before: Self, messages: u64) -> [f64; 3] {
        let share = |now: f64, before: f64| (now - before) / messages.max(1) as f64;
        [
            share(self.scripts as f64, before.scripts as f64),
            share(self.reads as f64, before.reads as f64),
            share(self.cpu, before.cpu),
        ]
    }
}

/// The number that follows `start` at the beginning of a line.
fn number(text: &str, start: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(start))?;
    rest.split([',', '\r']).next()?.parse().ok()
}
