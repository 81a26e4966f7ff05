//! Passwords: argon2id, never more at once than cores, never more waiting than bearable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// Hashes that may wait for a core; one takes about 20 ms.
const QUEUE: usize = 256;
/// How long one waits at most.
const TIMEOUT: Duration = Duration::from_secs(5);
/// When somebody may try again for whom there was no room.
const RETRY_AFTER_MS: u64 = 2000;
/// The first of the equally strong settings that OWASP recommends: 46 MiB, one pass. Blocks above
/// 32 MiB go back to the system after each hash; those of the usual 19 MiB stay with the allocator,
/// once for every thread that has ever hashed.
const PARAMS: Params = match Params::new(47_104, 1, 1, None) {
    Ok(params) => params,
    Err(_) => panic!("the parameters are within the limits of argon2"),
};
/// Belongs to nobody: unknown users are compared with it, so that they take as long as
/// known ones. The parameters are [`PARAMS`].
const NOBODY: &str = "$argon2id$v=19$m=47104,t=1,p=1$\
    bm9ib2R5IGlzIGNhbGxlZA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and compares passwords on blocking threads.
#[derive(Debug, Clone)]
pub struct Passwords {
    /// One for each hash that runs.
    cores: Arc<Semaphore>,
    /// One for each hash that runs or waits.
    queue: Arc<Semaphore>,
    /// How many hashes there have been.
    count: Arc<AtomicU64>,
}

impl Passwords {
    /// At most `cores` at once.
    pub fn new(cores: usize) -> Self {
        Self {
            cores: Arc::new(Semaphore::new(cores)),
            queue: Arc::new(Semaphore::new(cores + QUEUE)),
            count: Arc::default(),
        }
    }

    /// The hash to keep, in PHC format.
    pub async fn hash(&self, password: String) -> Result<String> {
        let hash = self
            .on_a_core(move || {
                argon2()
                    .hash_password(password.as_bytes())
                    .map(|hash| hash.to_string())
            })
            .await?;
        hash.map_err(|cause| {
            log::error!("a password could not be hashed: {cause}");
            Error::internal()
        })
    }

    /// Is it the password that belongs to this hash? Without a hash it never is, and takes
    /// as long.
    pub async fn matches(&self, password: String, hash: Option<String>) -> Result<bool> {
        self.on_a_core(move || {
            let hash = hash.as_deref().unwrap_or(NOBODY);
            PasswordHash::new(hash)
                .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
    }

    /// How many hashes there have been.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    async fn on_a_core<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let place = self.place().await?;
        self.count.fetch_add(1, Ordering::Relaxed);
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            // Given back here, not by the asker, who may have gone meanwhile.
            drop(place);
            done
        });
        work.await.map_err(|cause| {
            log::error!("hashing a password failed: {cause}");
            Error::internal()
        })
    }

    async fn place(&self) -> Result<[OwnedSemaphorePermit; 2]> {
        let overloaded = || Error::overloaded(RETRY_AFTER_MS);
        let queued = self.queue.clone().try_acquire_owned();
        let queued = queued.map_err(|_| overloaded())?;
        let core = tokio::time::timeout(TIMEOUT, self.cores.clone().acquire_owned()).await;
        match core {
            Ok(Ok(core)) => Ok([queued, core]),
            Ok(Err(_)) | Err(_) => Err(overloaded()),
        }
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"),
            "{hash}"
        );
        let matches = async |password: &str, hash| passwords.matches(password.into(), hash).await;
        assert_eq!(matches("correct horse", Some(hash.clone())).await, Ok(true));
        assert_eq!(matches("battery staple", Some(hash)).await, Ok(false));
        assert_eq!(matches("correct horse", Some("?".into())).await, Ok(false));
        assert_eq!(passwords.count(), 4);
    }

    #[tokio::test]
    async fn nobody_is_compared_like_somebody() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(hash.params.to_string(), "m=47104,t=1,p=1");
        let matches = Passwords::new(1).matches("anything".into(), None).await;
        assert_eq!(matches, Ok(false));
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let passwords = Passwords::new(1);
        let places = QUEUE as u32 + 1;
        let _all = passwords
            .queue
            .clone()
            .acquire_many_owned(places)
            .await
            .unwrap();
        let refused = passwords.matches("anything".into(), None).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::Overloaded);
    }
}
