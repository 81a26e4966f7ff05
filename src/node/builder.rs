//! Who there is on a node, and what each is made from.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ::redis::Client;
use actix::Addr;
use tokio::sync::mpsc;

use crate::actors::persistence::write_back::{self, Backlog, WriteBack};
use crate::actors::persistence::{self, Persistence};
use crate::actors::registry::redis::{Lease, NodeName, RedisBroker, Subscribers, share_limits};
use crate::actors::registry::{LocalBroker, Order, Registry};
use crate::actors::{Cluster, Services, Workers};
use crate::config::Config;
use crate::db::Db;
use crate::identity::{Identities, Tokens};
use crate::limits::Rates;
use crate::settings::Settings;

/// How long an append may wait before its sender is told that nobody knows.
const APPEND_DEADLINE: Duration = Duration::from_secs(5);

/// What everyone is made from, but the workers, which the HTTP server starts.
pub(super) struct NodeBuilder {
    config: Arc<Config>,
    itself: Lease,
    orders: mpsc::Sender<Order>,
    identities: Arc<Identities>,
    db: Db,
}

impl NodeBuilder {
    pub(super) fn new(
        config: Arc<Config>,
        itself: Lease,
        orders: mpsc::Sender<Order>,
        db: Db,
        tokens: Tokens,
    ) -> Self {
        let identities = Identities::new(db.clone(), tokens, config.auto_provision);
        Self {
            config,
            itself,
            orders,
            identities: Arc::new(identities),
            db,
        }
    }

    /// A node that is alone: its log is the database.
    pub(super) fn alone(self) -> Services {
        let persistence = self.persistence();
        let registry = Registry::start_alone(|rings| {
            let (writer, db) = (persistence.clone(), self.db.clone());
            Arc::new(LocalBroker::new(writer, db, rings))
        });
        self.services(persistence, registry, None)
    }

    /// A node of a cluster: its log is in Redis, and written back to the database.
    pub(super) fn together(self, redis: Client) -> Services {
        let name = NodeName {
            id: self.itself.id.clone(),
            generation: self.itself.generation.clone(),
        };
        let backlog = Backlog::new(self.config.backlog_events);
        let broker = RedisBroker::new(redis, name, self.db.clone(), backlog.clone());
        let registry =
            Registry::start_together(broker.clone(), self.orders.clone(), self.identities.clone());
        let limits = write_back::Limits {
            batch_rows: self.config.tuning.batch_rows,
            heard_events: self.config.backlog_events,
            ..write_back::Limits::default()
        };
        let write_back = WriteBack::start_here(
            self.db.store(),
            Arc::new(broker.clone()),
            backlog,
            registry.clone().recipient(),
            limits,
        );
        broker.begin(write_back.clone(), Subscribers::all(&registry));
        let secret = self.config.jwt_secret.clone();
        let cluster = Cluster {
            broker: broker.clone(),
            write_back,
        };
        let persistence = self.persistence();
        let services = self.services(persistence, registry, Some(cluster));
        if let Some(secret) = secret {
            share_limits(broker, secret.expose(), services.rates.clone());
        }
        services
    }

    fn persistence(&self) -> Addr<Persistence> {
        let limits = persistence::Limits {
            batch_rows: self.config.tuning.batch_rows,
            backlog_rows: self.config.backlog_events,
            deadline: APPEND_DEADLINE,
        };
        Persistence::start_here(self.db.store(), limits)
    }

    fn services(
        self,
        persistence: Addr<Persistence>,
        registry: Addr<Registry>,
        cluster: Option<Cluster>,
    ) -> Services {
        let rates = Arc::new(Rates::new(&self.config.at_start.limits));
        Services {
            settings: Settings::new(self.config.clone(), self.db.clone(), rates.clone()),
            identities: self.identities,
            rates,
            workers: Workers::new(self.config.workers),
            config: self.config,
            itself: self.itself,
            orders: self.orders,
            db: self.db,
            registry,
            persistence,
            cluster,
            draining: AtomicBool::new(false),
        }
    }
}
