//! More people than a room has places for, all at the same time on all nodes: F13.

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::trial::{is_long, try_fault};
use crate::support::{Claims, Cluster, Doors, Rest, Setup, eventually, read_log, seconds, sign};

/// Joins that are asked for at the same time.
const AT_ONCE: usize = 200;

async fn small_room(cluster: &Cluster, capacity: usize) -> String {
    let room = json!({"name": "small", "kind": "open", "capacity": capacity});
    cluster.nodes[0].empty_room("owner", room).await
}

/// Asks one node after the other until there is an answer: is the person in?
async fn join(doors: &Doors, person: usize, room: &str) -> bool {
    let token = sign(&Claims::of(&format!("person{person}")));
    let path = format!("rooms/{room}/join");
    let mut turn = person;
    eventually("a join is answered", seconds(30), async || {
        let (_, address) = doors.get(turn);
        turn += 1;
        let rest = Rest::new(&format!("http://{address}"), Some(token.clone()));
        let answer = rest.attempt("POST", &path, Some(json!({}))).await.ok()?;
        match (answer.status, answer.body["name"].as_str()) {
            (200, _) => Some(true),
            (409, Some("room_full")) => Some(false),
            (500.., _) => None,
            _ => panic!("neither in nor full: {answer:?}"),
        }
    })
    .await
}

/// Has ten times as many people join as there are places. Exactly so many are in afterwards, on
/// every node, in the log and by what they were told.
async fn fill(cluster: &Cluster, room: &str, people: std::ops::Range<usize>, capacity: usize) {
    let doors = cluster.doors();
    let joins = people.map(|person| join(&doors, person, room));
    let told: Vec<bool> = stream::iter(joins)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let told = told.into_iter().filter(|is_in| *is_in).count();
    assert_eq!(told + 1, capacity, "the owner counts");
    let log = read_log(&cluster.nodes[2].rest("owner"), room).await;
    let joins = log.iter().filter(|event| event.kind == "join").count();
    assert_eq!(joins, capacity);
    for node in &cluster.nodes {
        let shown = node
            .rest("owner")
            .get(&format!("rooms/{room}"))
            .await
            .good();
        assert_eq!(shown["members"], capacity, "{shown}");
    }
}

#[test]
fn a_thousand_join_a_room_for_a_hundred() {
    try_fault(
        "joins::a_thousand_join_a_room_for_a_hundred",
        async |seed| {
            let cluster = Cluster::with(seed, Setup::default()).await;
            let (rounds, people) = if is_long() { (100, 1000) } else { (3, 300) };
            for _ in 0..rounds {
                let room = small_room(&cluster, people / 10).await;
                fill(&cluster, &room, 0..people, people / 10).await;
            }
        },
    );
}

#[test]
fn f13_a_node_is_killed_while_many_join() {
    try_fault(
        "joins::f13_a_node_is_killed_while_many_join",
        async |seed| {
            let mut cluster = Cluster::with(seed, Setup::default()).await;
            let (rounds, people) = if is_long() { (20, 1000) } else { (2, 200) };
            for _ in 0..rounds {
                let room = small_room(&cluster, people / 10).await;
                let doors = cluster.doors();
                let joins = (0..people).map(|person| join(&doors, person, &room));
                let mut joins = stream::iter(joins).buffer_unordered(AT_ONCE);
                let mut told = 0;
                for _ in 0..people / 20 {
                    told += usize::from(joins.next().await.expect("more are asking"));
                }
                cluster.nodes[1].kill();
                while let Some(is_in) = joins.next().await {
                    told += usize::from(is_in);
                }
                assert_eq!(told + 1, people / 10, "the owner counts");
                drop(joins);
                cluster.nodes[1].restart().await;
                // Whoever was told is told the same again, by a node that knows only the log.
                fill(&cluster, &room, 0..people, people / 10).await;
            }
        },
    );
}
