//! A person's own account and sign-ins.

use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::{HttpRequest, HttpResponse, rt, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::error::{Problem, Result};
use super::list::List;
use super::revoke::revoke;
use crate::actors::{Services, leave_every_room, leave_what_is_left, registry};
use crate::clock::now_ms;
use crate::db::{LoginRecord, UserRecord, UserRole};
use crate::error::Error;
use crate::identity::{Identity, PasswordChange};
use crate::ids::{LoginId, UserId};
use crate::protocol::{Account, AccountNotice, ServerFrame};

/// An account, as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Own {
    #[schema(value_type = String)]
    id: UserId,
    /// What tokens call this person.
    sub: String,
    /// What they sign in with; guests and people of another service have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// What others see.
    name: String,
    role: UserRole,
    /// Counts changes, for `If-Match`.
    version: i64,
    created_at: i64,
}

impl From<UserRecord> for Own {
    fn from(user: UserRecord) -> Self {
        Self {
            id: user.id,
            sub: user.sub,
            username: user.username,
            name: user.name,
            role: user.role,
            version: user.version,
            created_at: user.created_at,
        }
    }
}

/// What changes in an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// What others see.
    name: Option<String>,
    /// A new password; ends every other login.
    password: Option<String>,
    /// The password until now; wanted with `password`.
    current_password: Option<String>,
    /// Only if the account is still in this version (`If-Match` says the same).
    version: Option<i64>,
}

/// One sign-in on one device.
#[derive(Serialize, ToSchema)]
pub(super) struct Login {
    #[schema(value_type = String)]
    id: LoginId,
    /// The device's name or program.
    device: String,
    created_at: i64,
    /// When its tokens were last renewed.
    used_at: i64,
    expires_at: i64,
    /// Is it the one that asks?
    current: bool,
}

impl Login {
    pub(super) fn of(login: LoginRecord, current: Option<LoginId>) -> Self {
        Self {
            current: Some(login.id) == current,
            id: login.id,
            device: login.device,
            created_at: login.created_at,
            used_at: login.used_at,
            expires_at: login.expires_at,
        }
    }
}

/// My account.
#[utoipa::path(get, path = "/v1/me", tag = "me", responses((status = 200, body = Own)))]
pub(super) async fn get(services: web::Data<Services>, who: Identity) -> Result {
    Ok(answer(read(&services, who.user).await?))
}

/// Changes my name or password.
#[utoipa::path(patch, path = "/v1/me", tag = "me", request_body = Change,
    responses((status = 200, body = Own), (status = 409, description = "It has changed meanwhile")))]
pub(super) async fn change(
    services: web::Data<Services>,
    who: Identity,
    request: HttpRequest,
    change: web::Json<Change>,
) -> Result {
    let mut change = change.into_inner();
    let version = if_match(&request)?.or(change.version);
    let Some(password) = change.password.take() else {
        let Some(name) = &change.name else {
            return Err(Error::bad_field("name or password is wanted").into());
        };
        let changed = services.identities.rename(who.user, name, version).await?;
        tell_devices(&services, &changed);
        return Ok(answer(changed));
    };
    if change.name.is_some() {
        return Err(Error::bad_field("name and password are changed one at a time").into());
    }
    let current = change
        .current_password
        .ok_or_else(|| Error::bad_field("current_password is wanted"))?;
    let change = PasswordChange {
        current,
        password,
        if_version: version,
    };
    let changed = services
        .identities
        .change_password(&services.rates, who.user, change, who.login)
        .await?;
    revoke(&services, who.user, None, who.login);
    Ok(answer(changed))
}

/// Gives my account up. Messages stay, without a name.
///
/// The rooms come first: whoever is told that something failed asks again with the same token.
#[utoipa::path(delete, path = "/v1/me", tag = "me", responses((status = 204, description = "Gone")))]
pub(super) async fn resign(services: web::Data<Services>, who: Identity) -> Result {
    let user = who.user;
    let services = services.into_inner();
    leave_every_room(&services, user).await?;
    services.identities.resign(user).await?;
    revoke(&services, user, None, None);
    // What they joined while they were leaving. It goes on without whoever asked.
    rt::spawn(leave_what_is_left(services, user));
    Ok(HttpResponse::NoContent().finish())
}

/// Where I am signed in.
#[utoipa::path(get, path = "/v1/me/sessions", tag = "me",
    responses((status = 200, body = List<Login>)))]
pub(super) async fn logins(services: web::Data<Services>, who: Identity) -> Result {
    let user = who.user;
    let logins = services.db.run(move |store| store.logins(user)).await?;
    let now = now_ms();
    let items = logins
        .into_iter()
        .filter(|login| login.expires_at > now)
        .map(|login| Login::of(login, who.login))
        .collect();
    Ok(HttpResponse::Ok().json(List::<Login>::all(items)))
}

/// Signs out one device.
#[utoipa::path(delete, path = "/v1/me/sessions/{id}", tag = "me",
    params(("id" = String, Path)), responses((status = 204, description = "Signed out")))]
pub(super) async fn end_login(
    services: web::Data<Services>,
    who: Identity,
    login: web::Path<LoginId>,
) -> Result {
    let login = login.into_inner();
    if !services.identities.end_login(who.user, login).await? {
        return Err(Problem::NotFound);
    }
    revoke(&services, who.user, Some(login), None);
    Ok(HttpResponse::NoContent().finish())
}

/// Signs out every device, this one as well.
#[utoipa::path(delete, path = "/v1/me/sessions", tag = "me",
    responses((status = 204, description = "Signed out")))]
pub(super) async fn end_all_logins(services: web::Data<Services>, who: Identity) -> Result {
    services.identities.sign_out_everywhere(who.user).await?;
    revoke(&services, who.user, None, None);
    Ok(HttpResponse::NoContent().finish())
}

async fn read(services: &Services, user: UserId) -> Result<UserRecord> {
    let record = services.db.run(move |store| store.user(user)).await?;
    record.ok_or(Problem::NotFound)
}

fn answer(user: UserRecord) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((ETAG, format!("\"{}\"", user.version)))
        .json(Own::from(user))
}

/// The version that `If-Match` wants.
fn if_match(request: &HttpRequest) -> Result<Option<i64>> {
    let Some(header) = request.headers().get(IF_MATCH) else {
        return Ok(None);
    };
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.trim_matches('"').parse();
    let version = version.map_err(|_| Error::bad_field("If-Match is the ETag of GET me"))?;
    Ok(Some(version))
}

/// A new name is shown on all of the person's devices at once.
fn tell_devices(services: &Services, user: &UserRecord) {
    let data = json!({ "user": user.id, "name": user.name, "version": user.version });
    let frame = ServerFrame::Account(Account {
        kind: AccountNotice::Profile,
        data,
    });
    let notify = registry::Notify {
        user: user.id,
        frame: frame.to_json(),
    };
    if services.registry.try_send(notify).is_err() {
        log::debug!("user={} was not told of their new name", user.id);
    }
}
