//! A program that tests the node from outside, and may ask for the node to be killed.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::{TestNode, seconds};

/// What a program prints on a line of its own to have the node killed and started again.
const RESTART: &str = "RESTART";

/// Runs the program to its end, which must be a success. Its words go to our output.
pub async fn run_script(command: Command, node: &mut TestNode) {
    run_script_with(command, async || node.restart().await).await;
}

/// The same; what it asks for when it wants a restart is done by `restart`.
pub async fn run_script_with(mut command: Command, mut restart: impl AsyncFnMut()) {
    let mut program = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|cause| panic!("{command:?} does not start: {cause}"));
    let mut answers = program.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(program.stdout.take().expect("a pipe")).lines();
    let talk = async {
        while let Some(line) = lines.next_line().await.expect("lines of text") {
            println!("  {line}");
            if line == RESTART {
                restart().await;
                answers.write_all(b"done\n").await.expect("it listens");
            }
        }
        program.wait().await.expect("it ends")
    };
    let status = timeout(seconds(1200), talk)
        .await
        .expect("the program ends in time");
    assert!(status.success(), "{command:?}: {status}");
}
