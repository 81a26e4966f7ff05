//! A node that stands alone under the same load, on every backend: killed, and ended at fail
//! points. It shows the harness at work, too, with less that could be in its way.

use super::load::{Load, Size};
use super::trial::is_long;
use crate::support::{Doors, World, on_every_pair, seconds};

/// Where a node can be ended whose log is the database.
const LOCAL: [&str; 2] = ["local::before_write", "local::after_write"];
/// Where a node can be ended whose log is in Redis.
const SHARED: [&str; 4] = [
    "redis::before_append",
    "redis::after_append",
    "write_back::before_write",
    "write_back::after_flush",
];

#[test]
fn f1_a_node_alone_is_killed_under_load() {
    on_every_pair(async |mut world: World| {
        let mut node = world.start().await;
        let load = Load::start(Doors::of(&node), Size::of_this_run(), &mut world.random).await;
        for _ in 0..if is_long() { 20 } else { 3 } {
            load.after_acks(100).await;
            node.kill();
            node.restart().await;
            load.all_connected(seconds(10)).await;
        }
        load.after_acks(100).await;
        load.judge(world.database()).await;
    });
}

#[test]
fn a_node_alone_ends_between_any_two_steps_of_a_write() {
    assert!(fail::has_failpoints(), "run with --features failpoints");
    on_every_pair(async |mut world: World| {
        let mut node = world.start().await;
        let load = Load::start(Doors::of(&node), Size::of_this_run(), &mut world.random).await;
        let points = match world.durability() {
            "db" => &LOCAL[..],
            _ => &SHARED,
        };
        for point in points {
            node.set("FAILPOINTS", &format!("{point}=30*off->1*return(abort)"));
            node.restart().await;
            let status = node.end().await;
            assert!(!status.success(), "{point} ends it with {status}");
            assert!(
                node.log()
                    .contains(&format!("failpoint={point} action=abort"))
            );
        }
        node.set("FAILPOINTS", "");
        node.restart().await;
        load.after_acks(100).await;
        load.judge(world.database()).await;
    });
}
