//! Are the sign-ins of a person's devices still good? Asked again when another node may have
//! said something that was lost: the database knows who is still welcome.

use std::time::Duration;

use actix::prelude::*;

use super::User;
use crate::actors::backoff::{Backoff, Task};
use crate::error::{Error, Result};
use crate::ids::{LoginId, SessionId};
use crate::protocol::ErrorCode;

/// How soon sign-ins are looked at again when the database could not be asked.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One check of all sign-ins at a time, however often it is asked for.
#[derive(Debug)]
pub(super) struct Checking {
    task: Task,
    /// Asked for while one was under way, which may have read what is old now?
    wanted: bool,
}

impl Default for Checking {
    fn default() -> Self {
        Self {
            task: Task::with(Backoff::between(FIRST_PAUSE, LONGEST_PAUSE)),
            wanted: false,
        }
    }
}

/// What a session is judged by: the sign-in of its token, and when that was issued.
type SignedIn = (Option<LoginId>, Option<i64>);

impl User {
    /// From now on a session is judged by its fresh token. What was revoked since that was
    /// looked at has met only the old one.
    pub(super) fn renew(
        &mut self,
        session: SessionId,
        signed_in: SignedIn,
        ctx: &mut Context<Self>,
    ) -> Result<()> {
        let attached = self.sessions.get_mut(&session);
        let attached = attached.ok_or_else(Error::unavailable)?;
        (attached.login, attached.issued_at) = signed_in;
        self.recheck(ctx);
        Ok(())
    }

    /// Checks all sign-ins, one after the other. Who is not welcome any more is sent away.
    pub(super) fn recheck(&mut self, ctx: &mut Context<Self>) {
        self.checking.wanted = !self.checking.task.begin();
        if self.checking.wanted {
            return;
        }
        let (services, user) = (self.services.clone(), self.id);
        let sign_ins = self.sessions.iter();
        let sign_ins: Vec<_> = sign_ins
            .map(|(session, attached)| (*session, attached.signed_in()))
            .collect();
        let checking = async move {
            let mut revoked = Vec::new();
            for (session, signed_in) in sign_ins {
                let (login, issued_at) = signed_in;
                match services.identities.recheck(user, login, issued_at).await {
                    Ok(()) => {}
                    Err(error) if error.code == ErrorCode::Revoked => {
                        revoked.push((session, signed_in))
                    }
                    // The others would learn nothing, either.
                    Err(error) => return (revoked, Err(error)),
                }
            }
            (revoked, Ok(()))
        };
        ctx.spawn(
            checking
                .into_actor(self)
                .map(|(revoked, outcome), user, ctx| user.checked(&revoked, outcome, ctx)),
        );
    }

    fn checked(
        &mut self,
        revoked: &[(SessionId, SignedIn)],
        outcome: Result<()>,
        ctx: &mut Context<Self>,
    ) {
        for (session, by) in revoked {
            // A fresh token may have come meanwhile.
            let attached = self.sessions.get(session);
            if let Some(attached) = attached.filter(|attached| attached.signed_in() == *by) {
                self.close_revoked(*session, attached);
            }
        }
        match outcome {
            Ok(()) => {
                self.checking.task.works();
                self.checking.task.end();
                if self.checking.wanted {
                    self.recheck(ctx);
                }
            }
            Err(cause) => {
                let pause = self.checking.task.pause("checking sign-ins", &cause);
                ctx.run_later(pause, |user, ctx| {
                    user.checking.task.end();
                    user.recheck(ctx);
                });
            }
        }
    }
}
