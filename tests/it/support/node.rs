//! A real `madang` process that tests start, hurt and start again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::{Value, json};

use super::process::Process;
use super::token::{Claims, SECRET, sign};
use super::{Rest, WsClient, eventually, free_port, seconds};

/// Where a node listens that nobody has told another place.
const ANY_PORT: &str = "127.0.0.1:0";
/// What a node says when it is ready, before its address.
const READY: &str = "madang is listening on http://";

/// A node, its data folder (the world's), and everything it has printed.
pub struct TestNode {
    folder: PathBuf,
    settings: BTreeMap<String, String>,
    /// `127.0.0.1:PORT`
    pub address: String,
    process: Process,
    /// How much its predecessors in this folder had printed.
    printed: usize,
}

impl TestNode {
    /// Starts a node and waits until it is ready.
    pub async fn start(folder: &Path, settings: BTreeMap<String, String>) -> Self {
        let mut node = Self::launch(folder, settings);
        node.listening().await;
        node
    }

    /// Starts a node that may have to wait for something; see [`TestNode::listening`].
    pub fn launch(folder: &Path, mut settings: BTreeMap<String, String>) -> Self {
        if settings
            .get("MADANG_LISTEN")
            .is_some_and(|at| at == ANY_PORT)
        {
            // One that nobody takes while the node is down, so that it can come back to it.
            let own = format!("127.0.0.1:{}", free_port());
            settings.insert("MADANG_LISTEN".into(), own);
        }
        let printed = std::fs::read_to_string(log_file(folder))
            .unwrap_or_default()
            .len();
        let process = spawn(folder, &settings);
        Self {
            folder: folder.to_owned(),
            settings,
            address: String::new(),
            process,
            printed,
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// `SIGTERM`, and how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        eventually("the node ends", seconds(60), async || {
            // One that came to stand still on its way there hears nothing.
            if self.process.is_stopped() {
                self.process.signal("CONT");
            }
            self.process.ended()
        })
        .await
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Waits until it has ended by itself.
    pub async fn end(&mut self) -> ExitStatus {
        self.process.end().await
    }

    /// `SIGSTOP`: it hangs, and its connections stay.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Does it stand still?
    pub fn is_stopped(&self) -> bool {
        self.process.is_stopped()
    }

    /// `SIGCONT`.
    pub fn go_on(&self) {
        self.process.signal("CONT");
    }

    /// One more setting, from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.into(), value.into());
    }

    /// Writes its `madang.toml`.
    pub fn configure(&self, text: &str) {
        let file = self.folder.join("madang.toml");
        std::fs::write(file, text).expect("a file in our own folder");
    }

    /// `SIGHUP`: read the file again.
    pub fn hang_up(&self) {
        self.process.signal("HUP");
    }

    /// Starts again on the same data, at the same address; kills it before if it still runs.
    pub async fn restart(&mut self) {
        self.relaunch();
        self.listening().await;
    }

    /// The same without waiting until it listens.
    pub fn relaunch(&mut self) {
        self.process.kill();
        self.printed = self.log().len();
        self.set("MADANG_LISTEN", &self.address.clone());
        self.process = spawn(&self.folder, &self.settings);
    }

    /// Everything that it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_file(&self.folder)).unwrap_or_default()
    }

    /// Memory that it holds in RAM now, bytes.
    pub fn memory(&self) -> u64 {
        self.process.memory()
    }

    /// A token for this subject, good for an hour.
    pub fn token(&self, sub: &str) -> String {
        sign(&Claims::of(sub))
    }

    /// REST as this person.
    pub fn rest(&self, sub: &str) -> Rest {
        Rest::new(&self.url(), Some(self.token(sub)))
    }

    /// REST as somebody who runs the system.
    pub fn admin(&self) -> Rest {
        let claims = Claims {
            role: Some("admin".into()),
            ..Claims::of("admin")
        };
        Rest::new(&self.url(), Some(sign(&claims)))
    }

    /// REST as nobody.
    pub fn anonymous(&self) -> Rest {
        Rest::new(&self.url(), None)
    }

    /// A connection on which this person has said `hello`.
    pub async fn connect(&self, sub: &str) -> WsClient {
        WsClient::connect(&self.address, &self.token(sub)).await
    }

    /// A room that its owner has made and all others have joined.
    pub async fn room(&self, owner: &str, others: &[&str]) -> String {
        let room = self
            .empty_room(owner, json!({"name": "tea", "kind": "open"}))
            .await;
        for other in others {
            self.rest(other)
                .post(&format!("rooms/{room}/join"), json!({}))
                .await
                .good();
        }
        room
    }

    /// A room as described.
    pub async fn empty_room(&self, owner: &str, description: Value) -> String {
        let made = self.rest(owner).post("rooms", description).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body["room"]
            .as_str()
            .expect("a room has an id")
            .to_owned()
    }

    /// The node's id of this subject.
    pub async fn user(&self, sub: &str) -> String {
        let me = self.rest(sub).get("me").await.good();
        me["id"].as_str().expect("a user has an id").to_owned()
    }

    /// One number from `/metrics`.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = self.anonymous().get_root("metrics").await;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name} in\n{page}"))
    }

    /// Waits until it takes connections and is ready for them.
    pub async fn listening(&mut self) {
        self.address = eventually("the node listens", seconds(20), async || {
            let address = self.told_address();
            if let Some(status) = self.process.ended() {
                panic!("the node ended with {status}:\n{}", self.log());
            }
            address
        })
        .await;
        let page = format!("{}/readyz", self.url());
        eventually("the node is ready", seconds(20), async || {
            let asked = tokio::time::timeout(seconds(10), reqwest::get(&page)).await;
            let answer = asked.ok()?.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Waits until it takes connections, unless it has ended or stands still before: where it is
    /// told to do that soon, nobody knows what comes first.
    pub async fn listening_or_gone(&mut self) {
        eventually("the node listens, or is gone", seconds(20), async || {
            let is_gone = self.process.ended().is_some() || self.process.is_stopped();
            (is_gone || self.told_address().is_some()).then_some(())
        })
        .await;
    }

    /// The address that it has printed since it was started.
    fn told_address(&self) -> Option<String> {
        let log = self.log();
        let (_, after) = log.get(self.printed..)?.split_once(READY)?;
        // The line is whole only with its end; an address ends before other words.
        let (line, _) = after.split_once('\n')?;
        let address = line.split(|sign: char| !sign.is_ascii_digit() && !".:".contains(sign));
        address.map(str::to_owned).next()
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().rev().take(60).collect();
            println!("the node's last words:");
            lines.iter().rev().for_each(|line| println!("  {line}"));
        }
    }
}

fn spawn(folder: &Path, settings: &BTreeMap<String, String>) -> Process {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(log_file(folder))
        .expect("a log in our own folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
    command
        .arg("serve")
        .current_dir(folder)
        .env_clear()
        .env("MADANG_JWT_SECRET", SECRET)
        .envs(settings)
        .stdout(log.try_clone().expect("a file has a second handle"))
        .stderr(log);
    Process::spawn(&mut command, None)
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("node.log")
}
