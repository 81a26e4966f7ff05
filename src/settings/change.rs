//! Changing settings for all nodes: checked as a whole, kept as a version, taken back when a
//! node refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Refusal, Settings, Snapshot, refused, version_of};
use crate::clock;
use crate::db::SettingsRecord;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::protocol::ErrorCode;

/// How often a change that names no version is tried when others change things, too.
const TRIES: usize = 5;

/// What somebody wants to set.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The version that they have seen, if they mind that it is the newest.
    pub version: Option<i64>,
    /// Keys with their values; none takes back what was set.
    pub values: BTreeMap<String, Option<String>>,
}

/// What one version has changed of one key; none where it was not set for all nodes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Changed {
    /// What it was.
    pub from: Option<String>,
    /// What it is.
    pub to: Option<String>,
}

impl Changed {
    /// What has changed between two sets of values.
    pub fn between(
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
    ) -> BTreeMap<String, Self> {
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let change = |key: &String| Changed {
            from: before.get(key).cloned(),
            to: after.get(key).cloned(),
        };
        keys.into_iter()
            .map(|key| (key.clone(), change(key)))
            .filter(|(_, change)| change.from != change.to)
            .collect()
    }
}

impl Settings {
    /// Sets something for all nodes. Everything is checked before anything changes.
    ///
    /// `bad_field` names a key that cannot have this value; `conflict` when `version` is not
    /// the newest, or when another node cannot take the values, which are taken back then.
    pub async fn change(&self, by: UserId, change: Change) -> Result<Arc<Snapshot>> {
        for _ in 0..TRIES {
            let before = self.newest().await?;
            let version = version_of(before.as_ref());
            if change.version.is_some_and(|seen| seen != version) {
                return Err(not_the_newest(version));
            }
            let before = before.map(|record| record.values).unwrap_or_default();
            let values = laid_over(&before, &change.values);
            self.check(&values, &change)?;
            if values == before {
                self.reload().await?;
                return Ok(self.now());
            }
            let record = SettingsRecord {
                version: version + 1,
                changed_by: by,
                at: clock::now_ms(),
                values,
            };
            if self.save(&before, &record).await? {
                return self.announce(before, record).await;
            }
            // Somebody else was faster. Who named a version is told so on the next round.
        }
        Err(Error::overloaded(1000))
    }

    /// All of the change has to be right; what else is set may be from a newer program.
    fn check(&self, values: &BTreeMap<String, String>, change: &Change) -> Result<()> {
        let overlaid = self.base().overlay(values);
        let mut wrong = overlaid.left_out.iter();
        match wrong.find(|error| change.values.contains_key(error.key())) {
            Some(error) => Err(refused(error)),
            None => Ok(()),
        }
    }

    /// False when its version is taken.
    async fn save(
        &self,
        before: &BTreeMap<String, String>,
        record: &SettingsRecord,
    ) -> Result<bool> {
        let saved = record.clone();
        let saving = self.db.run(move |store| store.save_settings(&saved));
        if !saving.await? {
            return Ok(false);
        }
        let (version, by) = (record.version, record.changed_by);
        for (key, Changed { from, to }) in Changed::between(before, &record.values) {
            log::info!("settings version={version} by={by}: {key} from {from:?} to {to:?}");
        }
        self.put_in_force(Some(record.clone()));
        Ok(true)
    }

    async fn announce(
        &self,
        before: BTreeMap<String, String>,
        record: SettingsRecord,
    ) -> Result<Arc<Snapshot>> {
        let Some(peers) = self.peers.get() else {
            return Ok(self.now());
        };
        let refusals = peers.announce(record.version).await;
        if refusals.is_empty() {
            return Ok(self.now());
        }
        let back = SettingsRecord {
            version: record.version + 1,
            at: clock::now_ms(),
            values: before,
            changed_by: record.changed_by,
        };
        if self.save(&record.values, &back).await? {
            // What held before, everybody has taken before.
            peers.announce(back.version).await;
        } else {
            log::warn!(
                "settings version={} was refused but is not the newest",
                record.version
            );
        }
        Err(taken_back(&refusals))
    }
}

fn laid_over(
    before: &BTreeMap<String, String>,
    change: &BTreeMap<String, Option<String>>,
) -> BTreeMap<String, String> {
    let mut values = before.clone();
    for (key, value) in change {
        match value {
            Some(value) => values.insert(key.clone(), value.trim().to_owned()),
            None => values.remove(key),
        };
    }
    values
}

fn not_the_newest(version: i64) -> Error {
    let message = format!("version {version} is the newest; look at it before you change it");
    Error::new(ErrorCode::Conflict, message).detail(serde_json::json!({ "version": version }))
}

fn taken_back(refusals: &[Refusal]) -> Error {
    let who: Vec<_> = refusals
        .iter()
        .map(|refusal| format!("{} ({})", refusal.node, refusal.reason))
        .collect();
    let message = format!("taken back, since nodes refused it: {}", who.join(", "));
    Error::new(ErrorCode::Conflict, message).detail(serde_json::json!({ "refused_by": refusals }))
}
