//! The node's lease: said again every two seconds, with how much there is to do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;

use super::redis::{Kept, Lease, Load, RedisBroker};
use super::remote::{Alive, Observe, WasAway};
use crate::actors::persistence::{self, write_back};
use crate::actors::{Services, directory, hub};
use crate::protocol::envelope::Payload;

/// How often the lease is renewed, and those of others are read.
const INTERVAL: Duration = Duration::from_secs(2);
/// While Redis is away, it is tried this often.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);

/// How long somebody may take to say how much there is to do: the lease does not wait for them.
const OBSERVE_TIMEOUT: Duration = Duration::from_millis(500);

/// Keeps this node's lease until another start of it takes over; then it returns.
pub async fn keep_lease(services: Arc<Services>, broker: RedisBroker) {
    // People of an earlier start of this node are not ours. Tried again with the lease.
    let mut is_first = true;
    loop {
        let lease = lease_of(&services).await;
        if is_first && broker.forget_people().await.is_err() {
            tokio::time::sleep(RETRY_INTERVAL).await;
            continue;
        }
        match broker.keep_lease(&lease).await {
            Ok(Kept::Taken) => {
                log::error!(
                    "another node was started as {} (MADANG_NODE_ID): this one ends",
                    lease.id
                );
                return;
            }
            Ok(Kept::New) if !is_first => {
                log::warn!("the lease had ended: this node was away for more than six seconds");
                // The registry lives as long as the node.
                let _ = services.registry.send(WasAway).await;
            }
            Ok(_) => {}
            Err(_) => {
                tokio::time::sleep(RETRY_INTERVAL).await;
                continue;
            }
        }
        if std::mem::take(&mut is_first) {
            announce(&broker).await;
        }
        if let Ok(leases) = broker.nodes().await {
            catch_up_settings(&services, &leases).await;
            let _ = services.registry.send(Alive(leases)).await;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Has the others read this node's lease before their next turn: whoever rebuilds Redis waits
/// for those who are known to have one.
async fn announce(broker: &RedisBroker) {
    let nobody = Payload::People {
        number: 0,
        changes: Vec::new(),
    };
    if let Err(error) = broker.send(None, nobody).await {
        log::debug!("the other nodes learn of this one at their next look: {error}");
    }
}

/// Somebody has newer settings: we were not told, or could not take them then.
async fn catch_up_settings(services: &Services, leases: &[Lease]) {
    let newest = leases.iter().map(|lease| lease.load.settings_version).max();
    if newest.is_some_and(|newest| newest > services.settings.version())
        && let Err(error) = services.settings.reload().await
    {
        log::warn!("newer settings are not taken: {error}");
    }
}

/// What this node would say of itself now.
pub async fn lease_of(services: &Services) -> Lease {
    Lease {
        told: told(services).await,
        load: load_of(services).await,
        ..services.itself.clone()
    }
}

/// The newest envelope about our people: whoever has not heard it reads them.
async fn told(services: &Services) -> u64 {
    let holds = services.registry.send(Observe).await;
    holds.map_or(0, |holds| holds.told)
}

/// What somebody answers, if they do so at once.
async fn soon<T>(answer: impl Future<Output = Result<T, actix::MailboxError>>) -> Option<T> {
    let answer = tokio::time::timeout(OBSERVE_TIMEOUT, answer).await;
    answer.ok().and_then(Result::ok)
}

/// How much this node has to do.
async fn load_of(services: &Services) -> Load {
    let mut load = Load {
        draining: services.draining.load(Ordering::Relaxed),
        settings_version: services.settings.version(),
        ..Load::default()
    };
    let workers = || services.workers.all();
    let hubs = join_all(workers().map(|it| soon(it.hub.send(hub::Observe))));
    let directories = join_all(workers().map(|it| soon(it.directory.send(directory::Observe))));
    let (hubs, directories) = tokio::join!(hubs, directories);
    // A thread that does not answer counts as idle: it is about to end, or hangs.
    for holds in hubs.into_iter().flatten() {
        load.sessions += holds.sessions;
    }
    for holds in directories.into_iter().flatten() {
        load.users += holds.users;
        load.rooms += holds.rooms;
    }
    match &services.cluster {
        Some(cluster) => {
            if let Some(holds) = soon(cluster.write_back.send(write_back::Observe)).await {
                load.backlog = holds.backlog;
                load.oldest_unflushed_ms = holds.oldest_unflushed.as_millis() as u64;
            }
        }
        None => {
            if let Some(holds) = soon(services.persistence.send(persistence::Observe)).await {
                load.backlog = holds.backlog;
            }
        }
    }
    load
}
