//! The web client in a real browser: two people, everything that it can do.

use tokio::process::Command;

use crate::support::{
    Backend, Balancer, Cluster, World, in_a_runtime, run_script, run_script_with,
};

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

#[test]
fn a_rolling_restart_of_three_nodes_is_no_more_than_a_short_reconnecting() {
    in_a_runtime(async || {
        let mut cluster = Cluster::start(0, 7).await;
        cluster.world.set("MADANG_DRAIN_SECONDS", "4");
        for _ in 0..3 {
            cluster.add().await;
        }
        let balancer = Balancer::before(cluster.doors()).await;
        let mut command = Command::new("node");
        command
            .args(["tests/web/run.mjs", &balancer.url(), "--restart-hook"])
            .arg("--steps=rolling")
            .env("CHROMIUM", browser());
        run_script_with(command, async || {
            for node in &mut cluster.nodes {
                let ended = node.terminate().await;
                assert!(ended.success(), "{ended}");
                node.restart().await;
            }
        })
        .await;
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
