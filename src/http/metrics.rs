//! The node's numbers, gathered when somebody asks for them.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge, Registry, TextEncoder};

use crate::actors::{Services, directory, hub, persistence};
use crate::error::{Error, Result};

/// Everything in Prometheus' text format.
pub(super) async fn render(services: &Services) -> Result<String> {
    let numbers = Registry::new();
    count_workers(services, &numbers).await?;
    count_writing(services, &numbers).await?;
    counter(
        &numbers,
        "madang_password_hashes_total",
        "Passwords hashed or compared since the start.",
        services.identities.passwords().count(),
    )?;
    gauge(
        &numbers,
        "madang_draining",
        "Whether the node is stopping.",
        i64::from(services.is_draining()),
    )?;
    TextEncoder::new()
        .encode_to_string(&numbers.gather())
        .map_err(|cause| failed(&cause))
}

async fn count_workers(services: &Services, numbers: &Registry) -> Result<()> {
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
    for (name, help, count) in [
        ("madang_sessions", "Connected sockets.", sessions),
        (
            "madang_subscriptions",
            "Rooms that sockets listen to.",
            subscriptions,
        ),
        ("madang_rooms", "Rooms in memory.", rooms),
        ("madang_users", "People with a socket here.", users),
    ] {
        gauge(numbers, name, help, count as i64)?;
    }
    Ok(())
}

async fn count_writing(services: &Services, numbers: &Registry) -> Result<()> {
    let observe = services.persistence.send(persistence::Observe).await;
    let holds = observe.map_err(|_| Error::unavailable())?;
    gauge(
        numbers,
        "madang_backlog_events",
        "Events that wait to be written, or are being written.",
        holds.backlog as i64,
    )
}

fn gauge(numbers: &Registry, name: &str, help: &str, value: i64) -> Result<()> {
    let gauge = IntGauge::new(name, help).map_err(|cause| failed(&cause))?;
    gauge.set(value);
    register(numbers, gauge)
}

fn counter(numbers: &Registry, name: &str, help: &str, value: u64) -> Result<()> {
    let counter = IntCounter::new(name, help).map_err(|cause| failed(&cause))?;
    counter.inc_by(value);
    register(numbers, counter)
}

fn register(numbers: &Registry, number: impl Collector + 'static) -> Result<()> {
    numbers
        .register(Box::new(number))
        .map_err(|cause| failed(&cause))
}

fn failed(cause: &prometheus::Error) -> Error {
    log::error!("the metrics cannot be told: {cause}");
    Error::internal()
}
