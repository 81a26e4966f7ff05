//! Redis is rebuildable: one life ends, everything is brought into the database, the next
//! begins (`docs/CLUSTER.md`, "The lives of Redis").
//!
//! Every node that notices the fence writes what it holds above `flushed` into the
//! database, and reports. One of them, the leader, waits until all have, or one lease time;
//! writes what survives in Redis; takes the old life's place in Postgres with a new name,
//! which from then on refuses every write of the old one; and loads the scripts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::nodes::LEASE;
use super::scripts::{self, Called, Life};
use super::{Inner, keys, values};
use crate::actors::Reply;
use crate::actors::persistence::write_back::{Salvage, Survived};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::ids::{RoomId, Seq};
use crate::locks;
use crate::protocol::envelope::Payload;

/// Between two looks at how far a rebuilding is.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// A leader that says nothing for so long has died: another takes over.
const LEADER: Duration = Duration::from_secs(10);
/// For so long others may need to rebuild a Redis that does not know their life; then it is
/// probably not theirs.
const MISTAKEN: Duration = Duration::from_secs(10);
/// What a rebuilding leaves in Redis is gone after that.
const TRACES: Duration = Duration::from_secs(30);
/// Events of one room that are brought over at once.
const EVENTS_AT_ONCE: usize = 500;

impl Inner {
    /// Waits for the fence, and brings this node and Redis into one life again; for ever.
    pub(super) async fn keep_rebuilt(self: Arc<Self>) {
        loop {
            self.gate.look_wanted().await;
            while let Err(error) = self.agree_on_a_life().await {
                log::debug!("Redis is not rebuilt yet: {error}");
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
    }

    /// Comes to one life with Redis and Postgres. Errors are outages: try again.
    async fn agree_on_a_life(&self) -> Result<()> {
        let of_database = self.db.run(|store| store.life()).await?;
        let Some(of_database) = of_database else {
            return self.lead_or_wait(None).await;
        };
        // What another node has ended meanwhile is not ours to end again.
        if !self.gate.is_lossy(&of_database) && self.is_alive(&of_database).await? {
            return self.join(&of_database).await;
        }
        self.gate.close();
        if self.gate.is_in(&of_database) {
            self.salvage(&of_database).await?;
            self.gate.mark_salvaged();
        } else if self.gate.life().is_none() {
            self.leave_to_those_who_live(&of_database).await?;
        }
        self.lead_or_wait(Some(of_database)).await
    }

    /// A node that starts leaves a life that others live to them: their Redis may be another
    /// than ours, by a mistake of whoever configured this node. Ends when nobody lives it.
    async fn leave_to_those_who_live(&self, name: &str) -> Result<()> {
        let end = Instant::now() + MISTAKEN;
        loop {
            let asked = name.to_owned();
            let (is_lived, present) = self
                .db
                .run(move |store| Ok((store.is_lived(&asked)?, store.life()?)))
                .await?;
            if !is_lived {
                return Ok(());
            }
            if present.as_deref() != Some(name) || self.is_alive(name).await? {
                // They have settled it: look again.
                return Err(Error::unavailable());
            }
            if Instant::now() >= end {
                log::error!(
                    "this Redis does not know the life that other nodes of the database live in: \
                     is REDIS_URL the same as theirs? Nothing is served until it is, or they are gone"
                );
                return Err(Error::unavailable());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Redis lives this life: appends are open. A node that was late, as it was stopped when
    /// the life before ended, forgets its rooms and appends again what it still holds.
    async fn join(&self, name: &str) -> Result<()> {
        if self.gate.is_in(name) {
            self.gate.reopen();
            return Ok(());
        }
        let life = name.to_owned();
        self.db
            .run(move |store| {
                store.enter_life(&life);
                Ok(())
            })
            .await?;
        let before = self.gate.life();
        if self.gate.is_late()
            && let Some(subscribers) = self.subscribers.get()
        {
            (subscribers.forget)();
        }
        self.gate.enter(Life::new(name));
        log::info!("Redis lives: {name}");
        let Some(before) = before else {
            return Ok(());
        };
        self.counts.rebuildings.fetch_add(1, Ordering::Relaxed);
        // Nothing is awaited since the fence fell: what is held is of the old life only.
        self.salvage(&before.name).await
    }

    /// Writes what this node has appended or heard, and is not in the database, there.
    async fn salvage(&self, life: &str) -> Result<()> {
        let (reply_to, salvaged) = Reply::channel();
        failpoint::at("redis::before_salvage");
        self.tell_write_back(Salvage {
            life: life.into(),
            reply_to,
        });
        salvaged.await.map(drop)
    }

    /// Reports that this node is done; leads the rebuilding, or waits for whoever does.
    async fn lead_or_wait(&self, old: Option<String>) -> Result<()> {
        self.report(old.as_deref().unwrap_or_default()).await?;
        let new = Uuid::now_v7().simple().to_string();
        let mut lead = redis::cmd("SET");
        lead.arg(keys::BARRIER)
            .arg(&new)
            .arg("NX")
            .arg("PX")
            .arg(LEADER.as_millis() as u64);
        match self.ask(&lead, values::text).await? {
            None => {
                // Somebody leads. Look again soon: they may be done, or gone.
                tokio::time::sleep(LOOK_INTERVAL).await;
                Err(Error::unavailable())
            }
            Some(_) => {
                let led = self.lead(old, &new).await;
                if led.is_err() && self.stay_leader(&new).await.is_ok() {
                    // The next turn need not wait until ours has run out.
                    let mut give_back = redis::cmd("UNLINK");
                    give_back.arg(keys::BARRIER);
                    self.ask(&give_back, values::ignored).await?;
                }
                led
            }
        }
    }

    /// Says that nothing of the life that ends is left on this node.
    async fn report(&self, old: &str) -> Result<()> {
        let mut report = redis::cmd("HSET");
        report.arg(keys::BARRIER_DONE).arg(&self.node.id).arg(old);
        let mut expire = redis::cmd("PEXPIRE");
        expire
            .arg(keys::BARRIER_DONE)
            .arg(TRACES.as_millis() as u64);
        let commands = vec![report, expire];
        self.ask_all(commands, values::ignored).await.map(drop)
    }

    async fn lead(&self, old: Option<String>, new: &str) -> Result<()> {
        log::info!("leading the rebuilding of Redis");
        failpoint::at("redis::before_barrier");
        let mut lost = 0;
        if let Some(old) = &old {
            if self.was_just_begun(old).await? {
                return Ok(());
            }
            // Who has nothing to append would notice only at its next heartbeat.
            let life = new.to_owned();
            let _ = self.send(None, Payload::Life { life }).await;
            self.wait_for_others(new, old).await?;
            let bringing = async {
                let lost = self.bring_over_what_survives(old).await?;
                self.salvage(old).await.map(|()| lost)
            };
            lost = self.while_leading(new, bringing).await?;
        }
        failpoint::at("redis::after_barrier");
        self.stay_leader(new).await?;
        let (before, after) = (old, new.to_owned());
        let begun = self
            .db
            .run(move |store| store.begin_life(before.as_deref(), &after))
            .await?;
        if !begun {
            // Somebody else was quicker.
            return Err(Error::unavailable());
        }
        failpoint::at("redis::before_life");
        self.begin_life(new).await?;
        failpoint::at("redis::after_life");
        self.count_lost(lost);
        let life = new.to_owned();
        // Whoever does not hear it looks by themselves.
        let _ = self.send(None, Payload::Life { life }).await;
        self.gate.look_again();
        Ok(())
    }

    /// A leader before us may have finished between our look and our turn: its life goes on.
    async fn was_just_begun(&self, old: &str) -> Result<bool> {
        if self.gate.is_lossy(old) || !self.is_alive(old).await? {
            return Ok(false);
        }
        let mut give_back = redis::cmd("UNLINK");
        give_back.arg(keys::BARRIER);
        self.ask(&give_back, values::ignored).await?;
        self.gate.look_again();
        Ok(true)
    }

    /// Waits until every node that had a lease has reported, or one lease time.
    async fn wait_for_others(&self, leader: &str, old: &str) -> Result<()> {
        let end = Instant::now() + LEASE;
        while !self.all_have_reported(old).await? && Instant::now() < end {
            self.stay_leader(leader).await?;
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    async fn all_have_reported(&self, old: &str) -> Result<bool> {
        let mut done = redis::cmd("HGETALL");
        done.arg(keys::BARRIER_DONE);
        let mut nodes = redis::cmd("SMEMBERS");
        nodes.arg(keys::NODES);
        let done = self.ask(&done, values::fields).await?;
        let nodes = self.ask(&nodes, values::texts).await?;
        let others = locks::read(&self.others);
        // Who has just started knows nobody: it waits for whoever there may be.
        let Some(others) = others.as_ref() else {
            return Ok(false);
        };
        let others = others.recent(Instant::now());
        let has_reported = |node: &String| done.iter().any(|(id, life)| id == node && life == old);
        Ok(others.iter().chain(&nodes).all(has_reported))
    }

    /// Does this for as long as it takes, and says meanwhile that this node still leads.
    async fn while_leading<T>(
        &self,
        leader: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(LEADER / 5) => self.stay_leader(leader).await?,
            }
        }
    }

    /// A leader that was stopped must not go on when another has taken over.
    async fn stay_leader(&self, leader: &str) -> Result<()> {
        let mut get = redis::cmd("GET");
        get.arg(keys::BARRIER);
        let leads = self.ask(&get, values::text).await?;
        if leads.as_deref() != Some(leader) {
            return Err(Error::unavailable());
        }
        let mut stay = redis::cmd("PEXPIRE");
        stay.arg(keys::BARRIER).arg(LEADER.as_millis() as u64);
        self.ask(&stay, values::ignored).await
    }

    /// Hands every event that Redis still has, and that may not be in the database, to this
    /// node's write-back; the salvage that follows writes them. Answers how many are lost.
    async fn bring_over_what_survives(&self, old: &str) -> Result<usize> {
        let mut lost = 0;
        for bucket in 0..keys::BUCKETS {
            let mut get = redis::cmd("ZRANGE");
            get.arg(keys::dirty(bucket)).arg(0).arg(-1);
            for room in self.ask(&get, values::rooms).await? {
                lost += self.bring_over(room, old).await?;
            }
        }
        Ok(lost)
    }

    async fn bring_over(&self, room: RoomId, old: &str) -> Result<usize> {
        let mut get = redis::cmd("HGET");
        get.arg(keys::room(room)).arg("life");
        let life = self.ask(&get, values::text).await?;
        if life.as_deref() != Some(old) {
            // From a life before: that was brought over when it ended.
            return Ok(0);
        }
        let row = self.db.run(move |store| store.seed_of(room)).await?;
        let Some(row) = row else {
            let mut count = redis::cmd("LLEN");
            count.arg(keys::log(room));
            let lost = self.ask(&count, values::integer).await?;
            log::error!(
                "room={room} the database does not know it: {lost} events of its log are lost"
            );
            return Ok(usize::try_from(lost).unwrap_or_default());
        };
        let mut from = 0;
        loop {
            let mut get = redis::cmd("LRANGE");
            get.arg(keys::log(room))
                .arg(from)
                .arg(from + EVENTS_AT_ONCE - 1);
            let mut found = self.ask(&get, |answer| values::log(room, answer)).await?;
            let count = found.len();
            found.retain(|event| event.seq() > Seq(row.head.0));
            if !found.is_empty() {
                self.tell_write_back(Survived {
                    room,
                    events: found,
                });
            }
            if count < EVENTS_AT_ONCE {
                return Ok(0);
            }
            from += EVENTS_AT_ONCE;
        }
    }

    /// Gives Redis the new life: rooms of the old one count as cold from here on.
    async fn begin_life(&self, name: &str) -> Result<()> {
        let of_buckets = (0..keys::BUCKETS).flat_map(|it| [keys::life(it), keys::dirty(it)]);
        let of_life: Vec<_> = std::iter::once(keys::BARRIER.to_owned())
            .chain(of_buckets)
            .collect();
        let begin = scripts::begin(&of_life, name);
        if self.ask(&begin, values::integer).await? != 1 {
            return Err(Error::unavailable());
        }
        let life = Life::new(name);
        // The marker last: who finds it finds a life that has begun.
        let scripts = life.own().into_iter().chain([&life.marker]);
        let mut commands: Vec<_> = scripts.map(Called::load).collect();
        let mut done = redis::cmd("UNLINK");
        done.arg(keys::BARRIER).arg(keys::BARRIER_DONE);
        commands.push(done);
        self.ask_all(commands, values::ignored).await.map(drop)
    }
}
