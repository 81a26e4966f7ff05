//! The node's numbers, gathered when somebody asks for them.

use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use super::metric::{counter, counter_by, gauge, histogram};
use crate::actors::persistence::write_back::{self, ROW_BUCKETS};
use crate::actors::registry;
use crate::actors::{Cluster, Services, directory, hub, persistence};
use crate::error::{Error, Result};

/// Everything in Prometheus' text format.
pub(super) async fn render(services: &Services) -> Result<String> {
    let mut families = of_everybody(services);
    families.extend(of_workers(services).await?);
    match &services.cluster {
        None => families.push(backlog(written_alone(services).await?)),
        Some(cluster) => {
            families.extend(of_write_back(cluster).await?);
            families.extend(of_redis(services, cluster).await?);
        }
    }
    TextEncoder::new()
        .encode_to_string(&families)
        .map_err(|cause| {
            log::error!("the metrics cannot be told: {cause}");
            Error::internal()
        })
}

fn of_everybody(services: &Services) -> Vec<MetricFamily> {
    let hashes = services.identities.passwords().count() as f64;
    let draining = f64::from(u8::from(services.is_draining()));
    let settings = services.settings.version() as f64;
    let db = services.db.counted();
    #[rustfmt::skip]
    let families = vec![
        counter("madang_password_hashes_total", "Passwords hashed or compared since the start.", hashes),
        gauge("madang_draining", "Whether the node is stopping.", draining),
        gauge("madang_settings_version", "Version of the settings that hold; 0 when none were set.", settings),
        counter("madang_db_questions_total", "Questions and changes that the database was asked for.", db.asked as f64),
        gauge("madang_db_waiting", "Those that wait for a thread.", db.waiting as f64),
        counter("madang_db_failed_total", "Those that failed, found no room to wait, or got no answer in time.", db.failed as f64),
        counter("madang_db_busy_seconds_total", "Time that they took on their threads.", db.busy.as_secs_f64()),
    ];
    families
}

async fn of_workers(services: &Services) -> Result<Vec<MetricFamily>> {
    let (mut sessions, mut subscriptions, mut rooms, mut users) = (0, 0, 0, 0);
    for worker in services.workers.all() {
        let unavailable = |_| Error::unavailable();
        let hub = worker.hub.send(hub::Observe).await.map_err(unavailable)?;
        let directory = worker
            .directory
            .send(directory::Observe)
            .await
            .map_err(unavailable)?;
        sessions += hub.sessions;
        subscriptions += hub.subscriptions;
        rooms += directory.rooms;
        users += directory.users;
    }
    #[rustfmt::skip]
    let families = vec![
        gauge("madang_sessions", "Connected sockets.", sessions as f64),
        gauge("madang_subscriptions", "Rooms that sockets listen to.", subscriptions as f64),
        gauge("madang_rooms", "Rooms in memory.", rooms as f64),
        gauge("madang_users", "People with a socket here.", users as f64),
    ];
    Ok(families)
}

/// What waits on a node that is alone.
async fn written_alone(services: &Services) -> Result<usize> {
    let observe = services.persistence.send(persistence::Observe).await;
    Ok(observe.map_err(|_| Error::unavailable())?.backlog)
}

fn backlog(events: usize) -> MetricFamily {
    let help = "Events that are not in the database yet, large ones counted for each begun KiB.";
    gauge("madang_backlog_events", help, events as f64)
}

async fn of_write_back(cluster: &Cluster) -> Result<Vec<MetricFamily>> {
    let observe = cluster.write_back.send(write_back::Observe).await;
    let holds = observe.map_err(|_| Error::unavailable())?;
    let (oldest, counts) = (holds.oldest_unflushed.as_secs_f64(), holds.counts);
    let lost = counts.lost + cluster.broker.counted().lost_events;
    #[rustfmt::skip]
    let families = vec![
        backlog(holds.backlog),
        gauge("madang_oldest_unflushed_seconds", "How long the oldest of them has waited.", oldest),
        counter("madang_write_back_batches_total", "Writes to the database that were confirmed.", counts.batches as f64),
        histogram("madang_write_back_rows", "Rows in such a write.", &ROW_BUCKETS, &counts.rows, counts.rows_total),
        counter("madang_write_back_retries_total", "Writes that failed and were repeated.", counts.retries as f64),
        counter("madang_write_back_poisoned_total", "Events that the database refused for good.", counts.poisoned as f64),
        counter("madang_write_back_conflicts_total", "Times that another event stood at a number already.", counts.conflicts as f64),
        counter("madang_write_back_lost_total", "Acknowledged events that are nowhere now.", lost as f64),
        counter("madang_write_back_swept_rooms_total", "Rooms taken over from a node that had stopped.", counts.swept as f64),
    ];
    Ok(families)
}

async fn of_redis(services: &Services, cluster: &Cluster) -> Result<Vec<MetricFamily>> {
    let knows = services.registry.send(registry::Observe).await;
    let knows = knows.map_err(|_| Error::unavailable())?;
    let nodes = 1 + cluster.broker.count_others();
    let counted = cluster.broker.counted();
    let dropped = [
        ("malformed", counted.malformed),
        ("unknown_version", counted.unknown_version),
        ("foreign_life", counted.foreign),
        ("mailbox_full", counted.lost),
        ("no_lease", knows.strangers),
    ];
    #[rustfmt::skip]
    let families = vec![
        gauge("madang_nodes", "Nodes with a lease, this one among them.", nodes as f64),
        gauge("madang_people_elsewhere", "People with a socket on another node.", knows.people_elsewhere as f64),
        gauge("madang_redis_ready", "Whether Redis is within reach and in the life that is known.", f64::from(u8::from(counted.ready))),
        counter("madang_redis_commands_total", "Commands and pipelines sent to Redis.", counted.commands as f64),
        counter("madang_redis_rebuildings_total", "Times that Redis was rebuilt.", counted.rebuildings as f64),
        counter("madang_doorbells_total", "Doorbells of rooms heard.", counted.rings as f64),
        counter_by("madang_dropped_total", "Doorbells and envelopes not acted on; what they said is read instead.", "reason", &dropped),
    ];
    Ok(families)
}
