//! The numbers of a node, as Prometheus reads them.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{
    Cluster, TestNode, eventually, in_a_runtime, on_every_backend, seconds, seed,
};

/// What every node has.
const EVERYWHERE: [(&str, &str); 12] = [
    ("madang_sessions", "gauge"),
    ("madang_subscriptions", "gauge"),
    ("madang_users", "gauge"),
    ("madang_rooms", "gauge"),
    ("madang_backlog_events", "gauge"),
    ("madang_draining", "gauge"),
    ("madang_settings_version", "gauge"),
    ("madang_password_hashes_total", "counter"),
    ("madang_db_questions_total", "counter"),
    ("madang_db_waiting", "gauge"),
    ("madang_db_failed_total", "counter"),
    ("madang_db_busy_seconds_total", "counter"),
];
/// What a node of a cluster has beside.
const TOGETHER: [(&str, &str); 15] = [
    ("madang_oldest_unflushed_seconds", "gauge"),
    ("madang_write_back_batches_total", "counter"),
    ("madang_write_back_rows", "histogram"),
    ("madang_write_back_retries_total", "counter"),
    ("madang_write_back_poisoned_total", "counter"),
    ("madang_write_back_conflicts_total", "counter"),
    ("madang_write_back_lost_total", "counter"),
    ("madang_write_back_swept_rooms_total", "counter"),
    ("madang_nodes", "gauge"),
    ("madang_people_elsewhere", "gauge"),
    ("madang_redis_ready", "gauge"),
    ("madang_redis_commands_total", "counter"),
    ("madang_redis_rebuildings_total", "counter"),
    ("madang_doorbells_total", "counter"),
    ("madang_dropped_total", "counter"),
];

/// Reads the page as strictly as `promtool check metrics` does, and gives every family's type.
fn families(page: &str) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut helped = None;
    let mut present = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and words");
            assert!(help.ends_with('.'), "{line}");
            assert_eq!(helped.replace(name), None, "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert_eq!(
                helped.take(),
                Some(name),
                "each family is explained: {line}"
            );
            let twice = types.insert(name.to_owned(), kind.to_owned());
            assert_eq!(twice, None, "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            present = name.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a name and a number");
            assert!(
                value.parse::<f64>().is_ok_and(|value| value >= 0.0),
                "{line}"
            );
            let name = series.split('{').next().unwrap_or_default();
            let rest = name.strip_prefix(present.as_str());
            let own: &[&str] = match types[&present].as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(rest.is_some_and(|rest| own.contains(&rest)), "{line}");
            assert!(seen.insert(series.to_owned()), "twice: {line}");
        }
    }
    types
}

async fn scrape(node: &TestNode) -> (String, BTreeMap<String, String>) {
    let page = node.anonymous().get_root("metrics").await;
    let families = families(&page);
    (page, families)
}

#[test]
fn every_family_is_there_with_its_type_and_nothing_else() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let is_alone = world.durability() == "db";
        let together = TOGETHER.iter().filter(|_| !is_alone);
        let wanted: BTreeMap<String, String> = EVERYWHERE
            .iter()
            .chain(together)
            .map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()))
            .collect();
        let (page, families) = scrape(&node).await;
        assert_eq!(families, wanted, "{page}");
        let operations = include_str!("../../../docs/OPERATIONS.md");
        for name in families.keys() {
            assert!(
                operations.contains(&format!("`{name}")),
                "{name} is not explained"
            );
        }
        assert!(node.metric("madang_db_questions_total").await > 0.0);
        assert_eq!(node.metric("madang_db_failed_total").await, 0.0);
    });
}

#[test]
fn a_cluster_counts_what_it_does() {
    in_a_runtime(async || {
        let cluster = Cluster::start(2, seed()).await;
        let [one, two] = &cluster.nodes[..] else {
            panic!("two nodes")
        };
        let room = one.room("ann", &["bob"]).await;
        let mut bob = two.connect("bob").await;
        bob.subscribe(&room).await;
        let mut ann = one.connect("ann").await;
        for number in 0..10 {
            ann.publish(&room, &format!("message {number}")).await;
        }
        let is = async |node: &TestNode, name: &str, wanted: f64| {
            eventually(name, seconds(10), async || {
                (node.metric(name).await == wanted).then_some(())
            })
            .await;
        };
        is(one, "madang_nodes", 2.0).await;
        is(one, "madang_people_elsewhere", 1.0).await;
        is(one, "madang_redis_ready", 1.0).await;
        is(one, "madang_backlog_events", 0.0).await;
        is(one, "madang_oldest_unflushed_seconds", 0.0).await;
        assert!(one.metric("madang_redis_commands_total").await > 0.0);
        eventually("it has heard something", seconds(10), async || {
            (two.metric("madang_doorbells_total").await > 0.0).then_some(())
        })
        .await;
        let batches = one.metric("madang_write_back_batches_total").await;
        let counted = one.metric("madang_write_back_rows_count").await;
        assert!(batches > 0.0 && batches == counted, "{batches} {counted}");
        assert!(one.metric("madang_write_back_rows_sum").await >= 10.0);

        let dropped = "madang_dropped_total{reason=\"malformed\"}";
        let before = two.metric(dropped).await;
        cluster.redis.publish("madang:all", b"1nonsense");
        is(two, dropped, before + 1.0).await;
        let newer = "madang_dropped_total{reason=\"unknown_version\"}";
        cluster.redis.publish("madang:all", b"9{}");
        is(two, newer, 1.0).await;
    });
}
