//! Questions to Redis whose answers are read, and what a fault means for whoever asked.

use redis::{Cmd, Value};

use super::Inner;
use super::link::Fault;
use crate::error::{Error, Result};

impl Inner {
    /// Sends a command, and reads its answer.
    pub(super) async fn ask<T>(
        &self,
        command: &Cmd,
        read: impl FnOnce(Value) -> Result<T, Fault>,
    ) -> Result<T> {
        let answer = self.link.run(command).await;
        answer.and_then(read).map_err(|fault| self.refused(&fault))
    }

    /// Sends many commands at once, and reads all answers; or gives the first fault.
    pub(super) async fn ask_all<T>(
        &self,
        commands: Vec<Cmd>,
        mut read: impl FnMut(Value) -> Result<T, Fault>,
    ) -> Result<Vec<T>> {
        let answers = self.link.run_all(commands).await;
        let read = answers.and_then(|answers| {
            let read = answers.into_iter().map(|answer| answer.and_then(&mut read));
            read.collect()
        });
        read.map_err(|fault| self.refused(&fault))
    }

    /// What a fault means for whoever asked. `NOSCRIPT` raises the fence.
    pub(super) fn refused(&self, fault: &Fault) -> Error {
        match fault {
            Fault::NoScript => self.gate.fence(),
            Fault::Refused(cause) => {
                log::error!("Redis refuses: {cause}");
                return Error::internal();
            }
            Fault::Malformed(what) => {
                log::error!("Redis answers what nothing of ours answers: {what}");
                return Error::internal();
            }
            Fault::Away(_) | Fault::Full => {}
        }
        Error::unavailable()
    }
}
