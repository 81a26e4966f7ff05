//! A program that a test starts: signals, and an end even when the test process is killed.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::eventually;

/// A running program. Dropped, it is killed.
pub struct Process {
    child: Child,
    guardian: Child,
}

impl Process {
    /// Starts the program. When the test process ends in whatever way, a guardian kills the
    /// program and removes `folder`.
    pub fn spawn(command: &mut Command, folder: Option<&Path>) -> Self {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|cause| panic!("cannot start {command:?}: {cause}"));
        let guardian = guardian(child.id(), folder);
        Self { child, guardian }
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended, and how?
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Sends a signal, for instance `TERM`, `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "kill", name])
            .arg(self.id().to_string())
            .status();
        assert!(sent.expect("sh runs").success(), "cannot send {name}");
    }

    /// Does it stand still (`SIGSTOP`)?
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()));
        // Behind the name, which is in brackets, the state is the first word.
        stat.is_ok_and(|stat| {
            let state = stat.rsplit(')').next();
            state.is_some_and(|rest| rest.trim_start().starts_with('T'))
        })
    }

    /// `kill -9`: no chance to tidy up.
    pub fn kill(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the end that a signal has asked for.
    pub async fn end(&mut self) -> ExitStatus {
        eventually("the process ends", Duration::from_secs(60), async || {
            self.ended()
        })
        .await
    }

    /// Memory that it holds in RAM now, bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))
            .expect("a running process has a status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
        1024 * kilobytes
            .and_then(|number| number.parse::<u64>().ok())
            .expect("VmRSS in kB")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First the guardian, so that it never kills a stranger who got the same number.
        let _ = self.guardian.kill();
        let _ = self.guardian.wait();
        self.kill();
    }
}

/// A shell that waits until our end of its pipe is gone. In its own process group, so that a
/// Ctrl-C meant for us does not take it along.
fn guardian(program: u32, folder: Option<&Path>) -> Child {
    use std::os::unix::process::CommandExt;
    const SCRIPT: &str = r#"
        read -r nothing
        kill -s KILL "$1"
        [ -z "$2" ] || { sleep 1; rm -rf -- "$2"; }"#;
    Command::new("sh")
        .args(["-c", SCRIPT, "guardian"])
        .arg(program.to_string())
        .arg(folder.unwrap_or(Path::new("")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("sh runs")
}
