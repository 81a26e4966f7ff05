//! The Python client, which knows the node only from `docs/PROTOCOL.md`, keeps up with it.

use tokio::process::Command;

use crate::support::{on_every_backend, run_script};

#[test]
fn a_client_written_from_the_document_loses_nothing() {
    on_every_backend(async |world| {
        let mut node = world.start().await;
        let mut command = Command::new("python3");
        command.args([
            "-B",
            "examples/python/self_test.py",
            &node.url(),
            "--restart-hook",
        ]);
        run_script(command, &mut node).await;
    });
}
