//! What a node does every two seconds: lease, fence, doorbell, heads.

use std::rc::Rc;

use super::super::bugs::Bug;
use super::super::log::{Life, Room};
use super::super::redis::{NodeId, Redis};
use super::super::time::Ms;
use super::{LEASE, Node};

/// How often a lease is written and heads are compared.
const HEARTBEAT: Ms = 2_000;

impl Node {
    /// Lease, fence, doorbell, heads: every two seconds.
    pub(super) async fn beat(self: Rc<Self>) {
        loop {
            self.pause(HEARTBEAT, HEARTBEAT).await;
            let Some(life) = self.life() else {
                let _ = self.lease().await;
                continue;
            };
            let known = self.probe(life).await;
            let Some((was_gone, listening)) = self.lease().await.filter(|_| known) else {
                continue;
            };
            if !listening {
                let id = self.id;
                let listen = |redis: &mut Redis, _| redis.listening.insert(id);
                let _ = self.world.redis(id, listen).await;
            }
            if was_gone || !listening || self.world.bug != Bug::NoHeads {
                self.compare_heads().await;
            }
        }
    }

    /// Is this still the life of Redis? If not, the fence is up now.
    pub(super) async fn probe(self: &Rc<Self>, life: Life) -> bool {
        let look = |redis: &mut Redis, _: Ms| redis.lives(life);
        self.call(life, look).await.is_ok()
    }

    /// Writes the lease: was it gone, and is the doorbell connected?
    async fn lease(&self) -> Option<(bool, bool)> {
        let id = self.id;
        let write = |redis: &mut Redis, now: Ms| {
            let old = redis.stored.leases.insert(id, now + LEASE);
            let peers = redis.stored.leases.iter().filter(|(_, at)| **at > now);
            let peers: Vec<NodeId> = peers.map(|(id, _)| *id).collect();
            let was_gone = old.is_none_or(|at| at <= now);
            (was_gone, redis.listening.contains(&id), peers)
        };
        let (was_gone, listening, peers) = self.world.redis(id, write).await.ok()?;
        let now = self.world.time.now();
        for peer in peers {
            self.state.borrow_mut().peers.insert(peer, now);
        }
        Some((was_gone, listening))
    }

    pub(super) async fn compare_heads(self: &Rc<Self>) {
        let rooms: Vec<Room> = self.state.borrow().rooms.keys().copied().collect();
        for room in rooms {
            let _ = self.catch_up(room).await;
        }
    }
}
