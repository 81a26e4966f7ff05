//! A Postgres that is away, refuses a row, is late, or is newer than the program: F8 and F9.

use std::time::Instant;

use futures_util::future::join_all;

use super::ledger;
use super::trial::{Trial, for_seconds, is_long, try_fault};
use crate::support::{Cluster, Draft, Setup, TestNode, eventually, read_log, seconds};

const MIB: u64 = 1024 * 1024;

/// Waits until what piled up before is written on every node: under load there is always something
/// that is just being written.
async fn drained(nodes: &[TestNode], before: Instant, within: std::time::Duration) {
    eventually("what has piled up is written", within, async || {
        for node in nodes {
            let since = before.elapsed().as_secs_f64();
            if node.metric("madang_oldest_unflushed_seconds").await > since {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[test]
fn f8_postgres_is_away() {
    try_fault("postgres::f8_postgres_is_away", async |seed| {
        let backlog = if is_long() { "5000" } else { "500" };
        let setup = Setup {
            own_postgres: true,
            settings: &[("MADANG_BACKLOG_EVENTS", backlog)],
            ..Setup::default()
        };
        let mut trial = Trial::start(seed, setup).await;
        let before: Vec<_> = trial.cluster.nodes.iter().map(TestNode::memory).collect();
        trial.cluster.postgres().kill();
        // The chat goes on up to the limit; then it says so.
        trial.goes_on().await;
        trial.load.until_refused_with("overloaded").await;
        trial.endure(1, 30).await;
        for (node, before) in trial.cluster.nodes.iter().zip(before) {
            let grown = node.memory().saturating_sub(before);
            assert!(grown < 32 * MIB, "memory grew by {} MiB", grown / MIB);
        }
        trial.cluster.postgres().restart().await;
        drained(&trial.cluster.nodes, Instant::now(), for_seconds(20, 60)).await;
        let aside = "SELECT count(*) FROM dead_letters";
        let aside = ledger::count(trial.cluster.database(), aside);
        assert_eq!(aside, 0, "an outage sets nothing aside");
        trial.judge().await;
    });
}

#[test]
fn f9_a_row_cannot_be_written() {
    try_fault("postgres::f9_a_row_cannot_be_written", async |seed| {
        let cluster = Cluster::with(seed, Setup::default()).await;
        let room = cluster.nodes[0].room("ann", &["bob"]).await;
        ledger::run(
            cluster.database(),
            "ALTER TABLE events ADD CHECK (body NOT LIKE '%poison%') NOT VALID",
        );
        let mut ann = cluster.nodes[0].connect("ann").await;
        let mut bob = cluster.nodes[1].connect("bob").await;
        bob.subscribe(&room).await;
        let mut asked = Vec::new();
        for number in 0..500 {
            let text = match number {
                250 => "poison".to_owned(),
                _ => format!("message {number}"),
            };
            let draft = Draft::new(&room, &text);
            asked.push((ann.ask(draft.frame()).await, draft));
        }
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (reference, draft) in asked {
            let ack = ann.answer(reference).await.expect("all are in the log");
            let sent = draft.acked(&ann.user, &ack);
            match sent.text == "poison" {
                true => bad.push(sent),
                false => good.push(sent),
            }
        }
        let last = good.iter().map(|sent| sent.seq).max().unwrap();
        bob.catch_up(&room, last).await;
        // The others are written, and nothing is stuck behind the bad one.
        let log = settled_log(&cluster, &room, last).await;
        for sent in &good {
            assert_eq!(log[sent.seq as usize - 1].text(), sent.text);
        }
        let instead = &log[bad[0].seq as usize - 1];
        assert_eq!(instead.kind, "void", "{instead:?}");
        assert_eq!(instead.body["lost"], true, "{instead:?}");
        let aside = "SELECT count(*) FROM dead_letters";
        assert_eq!(ledger::count(cluster.database(), aside), 1);
        ann.publish(&room, "and on it goes").await;
    });
}

/// The room's log as the database has it, once it holds this many.
async fn settled_log(cluster: &Cluster, room: &str, events: u64) -> Vec<crate::support::Event> {
    eventually("the others are written", seconds(5), async || {
        let rows = ledger::count(cluster.database(), "SELECT count(*) FROM events");
        (rows >= events as i64).then_some(())
    })
    .await;
    read_log(&cluster.nodes[2].rest("bob"), room).await
}

#[test]
fn a_node_waits_for_postgres_and_says_so() {
    try_fault(
        "postgres::a_node_waits_for_postgres_and_says_so",
        async |seed| {
            let setup = Setup {
                nodes: 0,
                own_postgres: true,
                ..Setup::default()
            };
            let mut cluster = Cluster::with(seed, setup).await;
            cluster.postgres().kill();
            let mut node = cluster.launch(&[]);
            eventually("it says that it waits", seconds(10), async || {
                assert!(node.ended().is_none(), "it ended:\n{}", node.log());
                node.log().contains("trying for").then_some(())
            })
            .await;
            cluster.postgres().restart().await;
            node.listening().await;
            node.user("ann").await;
        },
    );
}

#[test]
fn a_schema_newer_than_the_program_is_left_alone() {
    try_fault(
        "postgres::a_schema_newer_than_the_program_is_left_alone",
        async |seed| {
            let cluster = Cluster::with(seed, Setup::default()).await;
            let newer =
                "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')";
            ledger::run(cluster.database(), newer);
            let mut node = cluster.launch(&[]);
            assert_eq!(node.end().await.code(), Some(3), "{}", node.log());
            // Those who run already go on: an upgrade is one node after the other.
            let room = cluster.nodes[0].room("ann", &["bob"]).await;
            let rooms = join_all(cluster.nodes.iter().map(async |node| {
                let mut ann = node.connect("ann").await;
                ann.publish(&room, "still here").await
            }));
            assert_eq!(rooms.await.len(), 3);
        },
    );
}
