//! The web client in a real browser: two people, everything that it can do.

use tokio::process::Command;

use crate::support::{Backend, World, in_a_runtime, run_script};

#[test]
fn two_people_chat_in_the_browser() {
    in_a_runtime(async || {
        // What the page shows does not depend on the database; the other tests run on both.
        let world = World::new(Backend::Sqlite).await;
        let mut node = world.start().await;
        let mut command = Command::new("node");
        command
            .args(["tests/web/run.mjs", &node.url(), "--restart-hook"])
            .env("CHROMIUM", browser());
        run_script(command, &mut node).await;
    });
}

/// The system's browser, by the first of its names that is there.
fn browser() -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| file.exists())
    });
    found.expect("a browser: `make test` installs one")
}
