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
use super::{Inner, check, keys, values};
use crate::error::{Error, Result};
use crate::failpoint;

impl Inner {
    /// Does Redis have this life's name in every bucket, and its marker? Then it knows our
    /// scripts, too, when this answers.
    pub(super) async fn is_alive(&self, name: &str) -> Result<bool> {
        let life = Life::new(name);
        let names = (0..keys::BUCKETS).map(|bucket| {
            let mut get = redis::cmd("GET");
            get.arg(keys::life(bucket));
            get
        });
        let names = self.ask_all(names.collect(), values::text).await?;
        let named = names.iter().all(|found| found.as_deref() == Some(name));
        let own = life.own();
        let mut exist = redis::cmd("SCRIPT");
        exist.arg("EXISTS").arg(life.marker.digest());
        for script in own {
            exist.arg(script.digest());
        }
        let count = 1 + own.len();
        let flags = |answer| values::flags(count, answer);
        let scripts = self.ask(&exist, flags).await?;
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
            Err(fault) => return Err(self.refused(&fault)),
        }
        failpoint::at("redis::before_own_scripts");
        for script in life.own().into_iter().map(Called::load) {
            let loaded = one(&mut connection, &script).await;
            loaded.map_err(|fault| self.refused(&fault))?;
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
