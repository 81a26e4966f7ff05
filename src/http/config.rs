//! The settings of a running node: what holds, where it came from, and changing it for all.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, rt, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::error::Result;
use crate::actors::Services;
use crate::config::{Origin, Setting};
use crate::db::SettingsRecord;
use crate::error::Error;
use crate::identity::Identity;
use crate::ids::UserId;
use crate::settings::{Change, Changed, Settings};

/// How many versions are told.
const VERSIONS: usize = 20;

/// What holds on this node.
#[derive(Serialize, ToSchema)]
pub(super) struct Effective {
    /// The version of what was set for all nodes; 0 when nobody ever did.
    version: i64,
    settings: Vec<Entry>,
    /// The newest versions, newest first.
    versions: Vec<Version>,
}

/// One setting.
#[derive(Serialize, ToSchema)]
struct Entry {
    key: &'static str,
    /// Its value; dots for a secret.
    value: String,
    /// `default`, `demo`, `file`, `environment`, `flag` or `live`.
    origin: &'static str,
    /// May it be changed here?
    live: bool,
    /// What it means.
    about: &'static str,
}

/// One change.
#[derive(Serialize, ToSchema)]
struct Version {
    version: i64,
    /// Who made it.
    #[schema(value_type = String)]
    by: UserId,
    /// When, Unix milliseconds.
    at: i64,
    /// Every key that it changed.
    changes: BTreeMap<String, Changed>,
}

/// What shall hold on all nodes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The version that you have seen; anything else than the newest is refused.
    version: Option<i64>,
    /// Values by key; `null` takes one back.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: BTreeMap<String, Value>,
}

/// Every setting that holds here, with where it came from.
#[utoipa::path(get, path = "/v1/admin/config", tag = "admin",
    responses((status = 200, body = Effective)))]
pub(super) async fn get(services: web::Data<Services>) -> Result {
    let effective = effective(&services.settings).await?;
    Ok(HttpResponse::Ok().json(effective))
}

/// Sets something for all nodes, or takes it back.
#[utoipa::path(put, path = "/v1/admin/config", tag = "admin", request_body = Wanted,
    responses((status = 200, body = Effective)))]
pub(super) async fn put(
    services: web::Data<Services>,
    who: Identity,
    wanted: web::Json<Wanted>,
) -> Result {
    let Wanted { version, settings } = wanted.into_inner();
    let values = settings
        .into_iter()
        .map(|(key, value)| Ok((key.clone(), text(&key, value)?)))
        .collect::<Result<_, Error>>()?;
    let change = Change { version, values };
    let settings = services.settings.clone();
    // To its end, also when whoever asked does not wait for it.
    let changing = rt::spawn(async move { settings.change(who.user, change).await });
    changing.await.map_err(|_| Error::internal())??;
    let effective = effective(&services.settings).await?;
    Ok(HttpResponse::Ok().json(effective))
}

async fn effective(settings: &Settings) -> Result<Effective, Error> {
    let records = settings.versions(VERSIONS + 1).await?;
    let now = settings.now();
    Ok(Effective {
        version: now.version(),
        settings: now.settings.iter().map(entry).collect(),
        versions: versions(&records),
    })
}

fn entry(setting: &Setting) -> Entry {
    Entry {
        key: setting.key.name,
        value: setting.shown(),
        origin: match setting.origin {
            Origin::Default => "default",
            Origin::Demo => "demo",
            Origin::File(_) => "file",
            Origin::Environment => "environment",
            Origin::Flag => "flag",
            Origin::Live => "live",
        },
        live: setting.key.live,
        about: setting.key.about,
    }
}

/// Each record with what it changed of the one before; the oldest may only serve for that.
fn versions(records: &[SettingsRecord]) -> Vec<Version> {
    let nothing = BTreeMap::new();
    let version = |(place, record): (usize, &SettingsRecord)| {
        let before = records.get(place + 1);
        let before = before.map_or(&nothing, |record| &record.values);
        Version {
            version: record.version,
            by: record.changed_by,
            at: record.at,
            changes: Changed::between(before, &record.values),
        }
    };
    records
        .iter()
        .enumerate()
        .take(VERSIONS)
        .map(version)
        .collect()
}

/// A JSON value as it would stand in the environment.
fn text(key: &str, value: Value) -> Result<Option<String>, Error> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => Some(text),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        Value::Object(_) => None,
    };
    text.map(Some).ok_or_else(|| {
        let message = format!("{key} is a text, a number, true, false, a list of texts, or null");
        Error::bad_field(message).detail(serde_json::json!({ "key": key }))
    })
}
