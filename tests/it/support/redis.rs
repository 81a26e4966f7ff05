//! A Redis of our own, as `docs/OPERATIONS.md` wants it, to be hurt in every way that Redis is.

use std::path::{Path, PathBuf};
use std::process::Command;

use redis::{Client, Connection, FromRedisValue, cmd};
use tempfile::TempDir;

use super::process::Process;
use super::{eventually, free_port, seconds};

/// A running server and where it keeps its data.
pub struct Redis {
    folder: TempDir,
    port: u16,
    process: Process,
}

/// A second server with everything that the first had until a moment ago.
pub struct Replica(Redis);

/// A place in the append-only file: what comes after it can be lost.
#[derive(Debug, Clone, Copy)]
pub struct Mark(u64);

impl Redis {
    /// An empty server on a free port, ready to be used.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("madang-redis-")
            .tempdir()
            .expect("a temporary folder");
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

    /// Where nodes find it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts again on the same data and port; kills it before if it still runs.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = launch(self.folder.path(), self.port);
        self.ready().await;
    }

    /// Starts again with nothing.
    pub async fn restart_empty(&mut self) {
        self.process.kill();
        std::fs::remove_dir_all(self.append_only()).expect("an append-only file");
        self.restart().await;
    }

    /// The end of what is in the append-only file now.
    pub fn mark(&self) -> Mark {
        Mark(self.log().metadata().expect("an append-only file").len())
    }

    /// Starts again without what was written after the mark, as after a crash of the machine.
    pub async fn restart_at(&mut self, mark: Mark) {
        self.process.kill();
        let log = std::fs::File::options().write(true).open(self.log());
        log.and_then(|log| log.set_len(mark.0))
            .expect("an append-only file");
        self.restart().await;
    }

    /// Another server with the same data, which hears nothing new from now on: a replica that
    /// has fallen behind.
    pub async fn replica(&self) -> Replica {
        let replica = Self::start().await;
        let (host, port) = ("127.0.0.1", self.port);
        replica.ask::<()>(cmd("REPLICAOF").arg(host).arg(port));
        eventually("the replica has everything", seconds(10), async || {
            let state: String = replica.ask(cmd("INFO").arg("everything"));
            // Its own file is made anew then, too; until that is done it would lose all.
            let signs = [
                "master_link_status:up",
                "aof_rewrite_in_progress:0",
                "aof_rewrite_scheduled:0",
            ];
            signs.iter().all(|sign| state.contains(sign)).then_some(())
        })
        .await;
        replica.ask::<()>(cmd("REPLICAOF").arg("NO").arg("ONE"));
        Replica(replica)
    }

    /// `kill -9`, and the replica takes over at the same address.
    pub fn fail_over(&mut self, replica: Replica) {
        self.process.kill();
        let mut promoted = replica.0;
        promoted.ask::<()>(cmd("CONFIG").arg("SET").arg("port").arg(self.port));
        promoted.port = self.port;
        *self = promoted;
    }

    /// Stops it in the middle of whatever it does.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.process.signal("CONT");
    }

    /// `CONFIG SET`.
    pub fn set(&self, name: &str, value: &str) {
        self.ask::<()>(cmd("CONFIG").arg("SET").arg(name).arg(value));
    }

    /// Cuts every connection that listens to channels; gives how many.
    pub fn cut_doorbells(&self) -> usize {
        self.ask(cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub"))
    }

    /// Publishes bytes on a channel; gives how many heard it.
    pub fn publish(&self, channel: &str, bytes: &[u8]) -> usize {
        self.ask(cmd("PUBLISH").arg(channel).arg(bytes))
    }

    /// The keys that fit a pattern.
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        self.ask(cmd("KEYS").arg(pattern))
    }

    /// The channels that somebody listens to and that fit a pattern.
    pub fn channels(&self, pattern: &str) -> Vec<String> {
        self.ask(cmd("PUBSUB").arg("CHANNELS").arg(pattern))
    }

    /// How often a command was called since [`Redis::forget_calls`].
    pub fn calls(&self, command: &str) -> u64 {
        let all: String = self.ask(cmd("INFO").arg("commandstats"));
        let start = format!("cmdstat_{command}:calls=");
        let line = all.lines().find_map(|line| line.strip_prefix(&start));
        let number = line.and_then(|line| line.split(',').next());
        number.map_or(0, |number| number.parse().expect("a number of calls"))
    }

    /// Counts calls from zero.
    pub fn forget_calls(&self) {
        self.ask::<()>(cmd("CONFIG").arg("RESETSTAT"));
    }

    /// Any command.
    pub fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let mut connection = self.connection().expect("Redis takes connections");
        let answer = command.query(&mut connection);
        answer.unwrap_or_else(|cause| panic!("{cause}\n{}", self.words()))
    }

    /// A client of one's own.
    pub fn client(&self) -> Client {
        Client::open(self.url()).expect("a URL")
    }

    fn connection(&self) -> redis::RedisResult<Connection> {
        self.client().get_connection_with_timeout(seconds(30))
    }

    async fn ready(&mut self) {
        eventually("Redis answers", seconds(20), async || {
            let ended = self.process.ended();
            assert!(ended.is_none(), "Redis ended: {}", self.words());
            // While it reads its data it answers with an error.
            cmd("PING").query::<()>(&mut self.connection().ok()?).ok()
        })
        .await;
    }

    fn append_only(&self) -> PathBuf {
        self.folder.path().join("appendonlydir")
    }

    /// The file that grows; there is one, as nothing is ever rewritten.
    fn log(&self) -> PathBuf {
        let files = std::fs::read_dir(self.append_only()).expect("a folder");
        let mut files = files.flatten().map(|file| file.path());
        let log = files.find(|path| path.to_string_lossy().ends_with(".incr.aof"));
        log.expect("an append-only file")
    }

    fn words(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn launch(folder: &Path, port: u16) -> Process {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log in our own folder");
    let settings = [
        ["--bind", "127.0.0.1"],
        ["--port", &port.to_string()],
        ["--appendonly", "yes"],
        ["--appendfsync", "everysec"],
        ["--aof-load-truncated", "yes"],
        ["--auto-aof-rewrite-percentage", "0"],
        ["--maxmemory-policy", "noeviction"],
        ["--repl-diskless-sync-delay", "0"],
        ["--save", ""],
    ];
    let mut command = Command::new("redis-server");
    command
        .args(settings.as_flattened())
        .arg("--dir")
        .arg(folder)
        .stdout(log.try_clone().expect("a file has a second handle"))
        .stderr(log);
    Process::spawn(&mut command, Some(folder))
}
