//! Does Redis live this life? And a node's own scripts in a life that another version began.
//!
//! Scripts are known by their digest, so nodes of two versions have different ones. What they
//! share is the marker, which whoever begins a life loads last. Only a Redis that knows the
//! marker may be given more scripts: one that was restarted does not, and nobody completes a
//! life there, as it may have lost something.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::link::Fault;
use super::scripts::{Called, Life};
use super::{Inner, check, keys};
use crate::error::{Error, Result};
use crate::failpoint;

impl Inner {
    /// Does Redis have this life's name in every bucket, and its marker? Then it knows our
    /// scripts, too, when this answers.
    pub(super) async fn is_alive(&self, name: &str) -> Result<bool> {
        let life = Life::new(name);
        let mut looks: Vec<Cmd> = (0..keys::BUCKETS)
            .map(|bucket| {
                let mut get = redis::cmd("GET");
                get.arg(keys::life(bucket));
                get
            })
            .collect();
        let mut exist = redis::cmd("SCRIPT");
        exist.arg("EXISTS").arg(life.marker.digest());
        for script in life.own() {
            exist.arg(script.digest());
        }
        looks.push(exist);
        let mut answers = self.run_all(looks).await?;
        let scripts: Vec<bool> = answers
            .pop()
            .and_then(|known| redis::from_redis_value(known).ok())
            .unwrap_or_default();
        let named = answers.into_iter().all(|answer| {
            redis::from_redis_value::<Option<String>>(answer)
                .ok()
                .flatten()
                .is_some_and(|found| found == name)
        });
        match scripts.split_first() {
            Some((true, own)) if named && own.iter().all(|known| *known) => Ok(true),
            Some((true, _)) if named => self.load_own(&life).await,
            _ => Ok(false),
        }
    }

    /// Loads our scripts into a Redis in which a node of another version has begun this life;
    /// false when it has not been begun there.
    ///
    /// The connection is made for this and does not come back by itself: what answers to the
    /// marker on it is the very process that gets the scripts. If it is restarted in between,
    /// the connection breaks, and the scripts stay unknown.
    async fn load_own(&self, life: &Life) -> Result<bool> {
        let mut connection = check::connect(&self.client).await.map_err(|error| {
            log::debug!("{error}");
            Error::unavailable()
        })?;
        let probe = life.marker.call::<&str>(&[]);
        match one(&mut connection, &probe).await {
            Ok(_) => {}
            Err(Fault::NoScript) => return Ok(false),
            Err(fault) => return Err(self.away(&fault)),
        }
        failpoint::at("redis::before_own_scripts");
        for script in life.own().into_iter().map(Called::load) {
            let loaded = one(&mut connection, &script).await;
            loaded.map_err(|fault| self.away(&fault))?;
        }
        log::info!(
            "this version's scripts are loaded into the life {}",
            life.name
        );
        Ok(true)
    }
}

async fn one(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, Fault> {
    let answer = connection.send_packed_command(command).await;
    super::link::own_answer(answer.map_err(|error| Fault::from(&error))?)
}
