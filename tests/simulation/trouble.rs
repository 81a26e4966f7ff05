//! Lets things go wrong: a fault at some moment, or at some place between two steps.

use std::rc::Rc;

use super::faults::{Fault, Point};
use super::redis::{Loss, NodeId};
use super::time::Ms;
use super::world::{HEALED, NODES, SPANS, World};

impl World {
    /// Lets things go wrong, until everything is well again.
    pub(crate) async fn goes_wrong(self: Rc<Self>) {
        self.waits(6_000, 20_000).await;
        match self.fault {
            Fault::Calm | Fault::BadNetwork | Fault::Poison | Fault::WrongClocks => {}
            Fault::KillNode => self.kill_and_start(self.some_node()).await,
            Fault::KillAll => {
                for id in 1..=NODES {
                    self.kill_node(id);
                    self.waits(0, 200).await;
                }
                for id in 1..=NODES {
                    self.waits(0, 3_000).await;
                    self.start_node(id);
                }
            }
            Fault::StopNode => self.stop_for(self.some_node(), 3_000, 15_000).await,
            Fault::RedisRestarts => self.lose(Loss::Nothing).await,
            Fault::RedisLosesTail | Fault::ClocksAndLoss => self.lose(Loss::Tail).await,
            Fault::RedisEmpty if self.time.once_in(2) => {
                self.redis.borrow_mut().flush_all();
                self.trace(|| "Redis is emptied".into());
            }
            Fault::RedisEmpty => self.lose(Loss::All).await,
            Fault::Replica => self.replica().await,
            Fault::LostTwice | Fault::SlowAndLoss => {
                self.lose(self.some_loss()).await;
                self.waits(0, 9_000).await;
                self.lose(self.some_loss()).await;
            }
            Fault::StopAcrossRebuild => {
                self.spawn(self.clone().stop_later());
                self.lose(self.some_loss()).await;
            }
            Fault::LeaderDies => {
                self.lose(Loss::Nothing).await;
                self.waits(0, 9_000).await;
                self.kill_and_start(self.leader()).await;
            }
            Fault::CutDoorbell => {
                for _ in 0..4 {
                    let id = self.some_node();
                    self.redis.borrow_mut().listening.remove(&id);
                    self.waits(0, 4_000).await;
                }
            }
            Fault::CutRedis => {
                let id = self.some_node();
                self.hosts.borrow_mut()[id].cut = true;
                self.redis.borrow_mut().listening.remove(&id);
                self.waits(1_000, 15_000).await;
                self.hosts.borrow_mut()[id].cut = false;
            }
            Fault::PostgresAway => self.postgres_away().await,
            Fault::StopAt
            | Fault::SlowAt
            | Fault::KillAt
            | Fault::LoseAt
            | Fault::StopAndLoseAt => {
                self.aims().await;
            }
            Fault::BothLost => {
                self.spawn(self.clone().postgres_later());
                self.waits(0, 3_000).await;
                self.lose(self.some_loss()).await;
            }
        }
    }

    /// Waits for a node to come to some place; those that only a loss leads to come after one.
    async fn aims(self: &Rc<Self>) {
        let any = Point::ALL[self.time.below(Point::ALL.len() as i64) as usize];
        let point = match self.fault {
            Fault::StopAndLoseAt if self.time.once_in(2) => Point::Acked,
            Fault::SlowAt if self.time.once_in(2) => Point::Begun,
            _ => any,
        };
        self.aim.set(Some((point, self.time.below(4))));
        self.trace(|| format!("aims at {point:?}"));
        let rebuilding = point as usize >= Point::Salvaged as usize;
        if rebuilding || self.time.once_in(4) {
            self.lose(self.some_loss_for_aim()).await;
        }
        while self.time.now() < HEALED - 20_000 {
            if self.aim.get().is_some() {
                self.redis.borrow_mut().remember();
            }
            self.waits(0, 2_000).await;
        }
        self.aim.set(None);
    }

    /// A kill and a lost Redis together may lose something.
    fn some_loss_for_aim(&self) -> Loss {
        match self.fault {
            Fault::KillAt | Fault::SlowAt => Loss::Nothing,
            _ => self.some_loss(),
        }
    }

    /// A node is at this place: does the fault strike?
    pub(crate) fn strikes(self: &Rc<Self>, id: NodeId, point: Point) -> bool {
        match self.aim.get() {
            Some((at, 0)) if at == point => self.aim.set(None),
            Some((at, left)) if at == point => {
                self.aim.set(Some((at, left - 1)));
                return false;
            }
            _ => return false,
        }
        self.trace(|| format!("strikes node {id} at {point:?}"));
        self.spawn(self.clone().strike(id, point));
        true
    }

    async fn strike(self: Rc<Self>, id: NodeId, point: Point) {
        match self.fault {
            Fault::KillAt => self.kill_and_start(id).await,
            Fault::StopAt => self.stop_for(id, 3_000, 18_000).await,
            Fault::SlowAt => {}
            // What the others append meanwhile is what is lost.
            Fault::LoseAt if point == Point::Probed => self.lose(self.some_loss()).await,
            Fault::LoseAt => self.lose_at_once(self.some_loss()).await,
            _ => {
                let world = self.clone();
                self.spawn(async move {
                    world.waits(0, 500).await;
                    match world.time.once_in(3) {
                        true => world.redis.borrow_mut().flush_all(),
                        false => world.lose_at_once(world.some_loss()).await,
                    }
                });
                self.stop_for(id, 10_000, 25_000).await;
            }
        }
    }

    async fn waits(&self, from: Ms, to: Ms) {
        self.time.sleep(self.time.between(from, to)).await;
    }

    fn some_node(&self) -> NodeId {
        self.time.between(1, NODES as i64) as NodeId
    }

    fn some_loss(&self) -> Loss {
        match self.time.below(3) {
            0 => Loss::All,
            _ => Loss::Tail,
        }
    }

    /// Whoever has the barrier, or anybody.
    fn leader(&self) -> NodeId {
        self.some_node()
    }

    async fn kill_and_start(self: &Rc<Self>, id: NodeId) {
        self.kill_node(id);
        self.waits(0, 12_000).await;
        self.start_node(id);
    }

    async fn stop_for(self: &Rc<Self>, id: NodeId, from: Ms, to: Ms) {
        self.stop_node(id, true);
        self.waits(from, to).await;
        self.stop_node(id, false);
    }

    async fn stop_later(self: Rc<Self>) {
        self.waits(0, 5_000).await;
        self.stop_for(self.some_node(), 8_000, 18_000).await;
    }

    async fn lose(&self, loss: Loss) {
        self.redis.borrow_mut().remember();
        self.waits(0, 3_000).await;
        self.lose_at_once(loss).await;
    }

    async fn lose_at_once(&self, loss: Loss) {
        self.redis.borrow_mut().die();
        self.trace(|| format!("Redis dies: {loss:?}"));
        self.waits(0, 3_000).await;
        self.redis.borrow_mut().come_back(loss, 0);
        self.trace(|| "Redis is back".into());
    }

    async fn replica(&self) {
        self.redis.borrow_mut().remember();
        self.waits(0, 2_000).await;
        let skew = self.time.between(-SPANS.ahead / 4, SPANS.ahead / 4);
        let mut redis = self.redis.borrow_mut();
        redis.die();
        redis.come_back(Loss::Tail, skew);
        self.trace(|| format!("a replica takes over, {skew} ms off"));
    }

    async fn postgres_away(&self) {
        self.postgres.borrow_mut().up = false;
        self.postgres.borrow_mut().run += 1;
        self.trace(|| "Postgres is away".into());
        self.waits(500, 15_000).await;
        self.postgres.borrow_mut().up = true;
        self.trace(|| "Postgres is back".into());
    }

    async fn postgres_later(self: Rc<Self>) {
        self.waits(0, 4_000).await;
        self.postgres_away().await;
    }

    /// From now on nothing goes wrong any more.
    pub(crate) async fn heals(self: Rc<Self>) {
        self.time.sleep(HEALED).await;
        for id in 1..=NODES {
            if self.hosts.borrow()[id].stopped {
                self.stop_node(id, false);
            }
        }
    }
}
