//! How settings reach the other nodes, and how a node that cannot take them says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web;

use crate::actors::Services;
use crate::actors::registry::redis::RedisBroker;
use crate::locks::lock;
use crate::protocol::envelope::Payload;
use crate::settings::{Answers, Peers, Refusal};

/// How long the other nodes have to refuse: they are told at once, and read one row.
const TIMEOUT: Duration = Duration::from_millis(800);
/// Most refusals that are remembered.
const REMEMBERED: usize = 256;

/// Who could not take which version.
#[derive(Default)]
pub(super) struct Refusals(Mutex<VecDeque<(i64, Refusal)>>);

impl Refusals {
    /// A node says that it cannot.
    pub(super) fn note(&self, version: i64, node: String, reason: String) {
        log::warn!("node={node} cannot take settings version={version}: {reason}");
        let mut refusals = lock(&self.0);
        refusals.push_back((version, Refusal { node, reason }));
        if refusals.len() > REMEMBERED {
            refusals.pop_front();
        }
    }

    fn of(&self, version: i64) -> Vec<Refusal> {
        let refusals = lock(&self.0);
        let these = refusals.iter().filter(|(of, _)| *of == version);
        these.map(|(_, refusal)| refusal.clone()).collect()
    }
}

/// The other nodes, by Redis.
struct ByRedis {
    broker: RedisBroker,
    refusals: Arc<Refusals>,
}

impl Peers for ByRedis {
    fn announce(&self, version: i64) -> Answers {
        let (broker, refusals) = (self.broker.clone(), self.refusals.clone());
        Box::pin(async move {
            if broker
                .send(None, Payload::Settings { version })
                .await
                .is_err()
            {
                log::warn!("settings version={version} were not announced: nodes look every 2 s");
            }
            if broker.has_others() {
                tokio::time::sleep(TIMEOUT).await;
            }
            refusals.of(version)
        })
    }
}

/// Makes the other nodes known to the settings of this one, if it is not alone.
pub(super) fn join(services: &Services) -> Arc<Refusals> {
    let refusals = Arc::<Refusals>::default();
    if let Some(cluster) = &services.cluster {
        services.settings.join(Arc::new(ByRedis {
            broker: cluster.broker.clone(),
            refusals: refusals.clone(),
        }));
    }
    refusals
}

/// Another node has changed the settings: takes them, or says why not.
pub(super) fn take(services: web::Data<Services>, version: i64) {
    actix::spawn(async move {
        let Err(error) = services.settings.take(version).await else {
            return;
        };
        log::warn!("settings version={version} are not taken: {error}");
        if let Some(cluster) = &services.cluster {
            let reason = error.message;
            // Whoever changed them takes silence for consent; the next look tries again.
            let _ = cluster
                .broker
                .send(None, Payload::SettingsRefused { version, reason })
                .await;
        }
    });
}

/// Other nodes may have changed the settings unheard: takes the newest there are.
pub(super) fn reload(services: web::Data<Services>) {
    actix::spawn(async move {
        if let Err(error) = services.settings.reload().await {
            log::warn!("newer settings are not taken: {error}");
        }
    });
}
