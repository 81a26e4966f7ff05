//! `madang nodes` and `madang drain`: a cluster as Redis knows it, from outside.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use madang::actors::registry::redis::{Console, Lease, RedisError, Seen};
use madang::clock;
use madang::config::Secret;
use madang::ids::UserId;
use madang::protocol::envelope::Payload;

use super::Failure;

/// How often a draining node is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What `madang nodes` is asked.
#[derive(Debug, Args)]
pub(super) struct NodesArgs {
    /// Only nodes that this user is connected to (`id` of `GET /v1/me`)
    #[arg(long, value_name = "ID")]
    user: Option<UserId>,
    /// One JSON object per line instead of a table
    #[arg(long)]
    json: bool,
}

/// What `madang drain` is asked.
#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// Which node, as `madang nodes` calls it
    node: String,
    /// Only give the order; do not wait until the node has ended
    #[arg(long)]
    no_wait: bool,
}

/// Prints every node of the cluster.
pub(super) async fn nodes(redis: &Secret, args: NodesArgs) -> Result<(), Failure> {
    let mut console = open(redis).await?;
    let mut nodes = Vec::new();
    for seen in console.nodes().await.map_err(unusable)? {
        let wanted = match args.user {
            Some(user) => {
                let is_on = console.is_on(&seen.lease.id, user).await;
                is_on.map_err(unusable)?
            }
            None => true,
        };
        if wanted {
            nodes.push(seen);
        }
    }
    let text = if args.json {
        nodes.iter().map(as_json).collect()
    } else {
        table(&nodes, clock::now_ms())
    };
    // Whoever reads may have heard enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// Tells a node to send its people to others and to end, and waits until it has.
pub(super) async fn drain(redis: &Secret, args: DrainArgs) -> Result<(), Failure> {
    let mut console = open(redis).await?;
    let DrainArgs { node, no_wait } = args;
    let Some(lease) = lease_of(&mut console, &node).await? else {
        let message = format!("there is no node {node}; `madang nodes` lists them");
        return Err(Failure::Other(message));
    };
    let heard = console.send(&lease, Payload::Drain).await;
    if !heard.map_err(unusable)? {
        let message = format!("{node} does not listen; it may be hanging or cut off from Redis");
        return Err(Failure::Other(message));
    }
    println!("{node}: told to drain");
    if no_wait {
        return Ok(());
    }
    until_ended(&mut console, &lease).await?;
    println!("{node}: has ended");
    Ok(())
}

/// Waits until this very start of a node has said that it ended. One whose lease is gone and
/// that has not said so may be anything.
async fn until_ended(console: &mut Console, lease: &Lease) -> Result<(), Failure> {
    let node = &lease.id;
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    let mut told = None;
    loop {
        looks.tick().await;
        let now = lease_of(console, node).await?;
        if let Some(now) = now.filter(|now| now.generation == lease.generation) {
            if told.replace(now.load.sessions) != Some(now.load.sessions) {
                println!("{node}: {} sessions are left", now.load.sessions);
            }
        } else if console.has_ended(lease).await.map_err(unusable)? {
            return Ok(());
        } else {
            let message = format!(
                "{node}: its lease has run out, and it has not said that it ended; it may hang, \
                 be cut off from Redis, or have been killed: look at the process"
            );
            return Err(Failure::Other(message));
        }
    }
}

async fn lease_of(console: &mut Console, node: &str) -> Result<Option<Lease>, Failure> {
    let nodes = console.nodes().await.map_err(unusable)?;
    let mut leases = nodes.into_iter().map(|seen| seen.lease);
    Ok(leases.find(|lease| lease.id == node))
}

async fn open(redis: &Secret) -> Result<Console, Failure> {
    Console::open(redis.expose_text()).await.map_err(unusable)
}

fn unusable(error: RedisError) -> Failure {
    Failure::Start(error.into())
}

fn as_json(seen: &Seen) -> String {
    let mut lease = serde_json::to_value(&seen.lease).unwrap_or_default();
    lease["age_ms"] = (seen.age.as_millis() as u64).into();
    format!("{lease}\n")
}

/// A line for each, columns as wide as they have to be.
fn table(nodes: &[Seen], now: i64) -> String {
    let head = [
        "NODE", "ADDRESS", "VERSION", "UP", "SEEN", "SESSIONS", "USERS", "ROOMS", "BACKLOG",
        "OLDEST", "SETTINGS", "STATE",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(nodes.iter().map(|seen| row(seen, now)));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 12] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn row(Seen { lease, age }: &Seen, now: i64) -> [String; 12] {
    let load = &lease.load;
    let up = Duration::from_millis((now - lease.started_at).max(0).unsigned_abs());
    let state = if load.draining { "draining" } else { "ready" };
    [
        lease.id.clone(),
        lease.address.clone(),
        lease.version.clone(),
        rough(up),
        format!("{:.1}s", age.as_secs_f64()),
        load.sessions.to_string(),
        load.users.to_string(),
        load.rooms.to_string(),
        load.backlog.to_string(),
        format!("{}ms", load.oldest_unflushed_ms),
        load.settings_version.to_string(),
        state.to_owned(),
    ]
}

/// A time as people say it.
fn rough(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use madang::actors::registry::redis::Load;

    use super::*;

    #[test]
    fn every_node_has_a_line_and_every_column_its_place() {
        let seen = |id: &str, sessions, draining| Seen {
            lease: Lease {
                id: id.into(),
                generation: "g".into(),
                address: "127.0.0.1:8081".into(),
                version: "0.1.0".into(),
                protocol: 1,
                started_at: 1_000,
                told: 3,
                load: Load {
                    sessions,
                    draining,
                    ..Load::default()
                },
            },
            age: Duration::from_millis(1_240),
        };
        let text = table(
            &[seen("n1", 7, false), seen("node-2", 12_345, true)],
            61_000,
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].starts_with("n1      127.0.0.1:8081  0.1.0    60s  1.2s  7         "));
        assert!(
            lines[1].ends_with("ready") && lines[2].ends_with("draining"),
            "{text}"
        );
    }
}
