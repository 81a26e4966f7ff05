//! Settings that were changed while nodes run, version by version.

use diesel::prelude::*;

use super::Conn;
use crate::db::schema::settings;
use crate::db::{SettingsRecord, StoreError};
use crate::ids::UserId;

/// See [`crate::db::Store::settings`].
pub(crate) fn settings(conn: &mut Conn, limit: usize) -> Result<Vec<SettingsRecord>, StoreError> {
    let rows: Vec<(i64, i64, i64, String)> = settings::table
        .order(settings::version.desc())
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(conn)?;
    rows.into_iter().map(record).collect()
}

fn record(
    (version, changed_by, at, body): (i64, i64, i64, String),
) -> Result<SettingsRecord, StoreError> {
    let values = serde_json::from_str(&body).map_err(|cause| {
        StoreError::Refused(format!("version {version} of the settings: {cause}"))
    })?;
    Ok(SettingsRecord {
        version,
        changed_by: UserId::from_raw(changed_by),
        at,
        values,
    })
}

/// See [`crate::db::Store::save_settings`].
pub(crate) fn save_settings(conn: &mut Conn, record: &SettingsRecord) -> Result<bool, StoreError> {
    let body = serde_json::to_string(&record.values)
        .map_err(|cause| StoreError::Refused(cause.to_string()))?;
    let rows = diesel::insert_into(settings::table)
        .values((
            settings::version.eq(record.version),
            settings::changed_by.eq(record.changed_by.raw()),
            settings::at.eq(record.at),
            settings::body.eq(body),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(rows == 1)
}
