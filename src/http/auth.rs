//! Signing up, in and out.

use actix_web::http::header::USER_AGENT;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::{bearer, unauthenticated};
use super::address::client_address;
use super::body::optional;
use super::error::Result;
use super::me::Own;
use super::revoke::revoke;
use crate::actors::Services;
use crate::error::Error;
use crate::identity::{Pass, Refreshed};
use crate::limits::Address;
use crate::protocol::{Device, ErrorCode};

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignUp {
    /// What its owner will sign in with.
    username: String,
    /// At least 8 characters.
    password: String,
    /// What others see; the username if it is left out.
    name: Option<String>,
    /// The device, for the person's list of sessions.
    #[schema(value_type = Option<Object>)]
    device: Option<Device>,
}

/// Somebody who wants to look around.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GuestSignUp {
    /// What others see.
    name: String,
    /// The device, for the person's list of sessions.
    #[schema(value_type = Option<Object>)]
    device: Option<Device>,
}

/// Somebody who has an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// In any case.
    username: String,
    /// Theirs.
    password: String,
    /// The device, for the person's list of sessions.
    #[schema(value_type = Option<Object>)]
    device: Option<Device>,
}

/// The token that came with the last pass.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    /// Good for one use.
    refresh_token: String,
}

/// The login that ends; without a refresh token it is the one of the bearer.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignOut {
    /// Belongs to the login that ends.
    refresh_token: Option<String>,
}

/// How much ends.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct HowMuch {
    /// All logins of the person, on every device: `?everywhere`.
    #[param(value_type = Option<bool>)]
    everywhere: Option<String>,
}

impl HowMuch {
    fn is_all(&self) -> Result<bool> {
        match self.everywhere.as_deref() {
            Some("" | "true" | "1") => Ok(true),
            None | Some("false" | "0") => Ok(false),
            Some(_) => Err(Error::bad_field("everywhere is true or false").into()),
        }
    }
}

/// What opens everything else.
#[derive(Serialize, ToSchema)]
pub(super) struct Opened {
    /// Goes into `Authorization: Bearer …`, or into `hello`.
    access_token: String,
    /// Good for the next pass, once.
    refresh_token: String,
    /// How long the access token holds, seconds.
    expires_in: i64,
    /// Whose it is.
    user: Own,
}

impl From<Pass> for Opened {
    fn from(pass: Pass) -> Self {
        Self {
            access_token: pass.access_token,
            refresh_token: pass.refresh_token,
            expires_in: pass.expires_in,
            user: pass.user.into(),
        }
    }
}

/// Makes an account and signs it in.
#[utoipa::path(post, path = "/v1/auth/sign-up", tag = "auth", request_body = SignUp,
    responses((status = 200, body = Opened), (status = 409, description = "The username is taken")))]
pub(super) async fn sign_up(
    services: web::Data<Services>,
    request: HttpRequest,
    form: web::Json<SignUp>,
) -> Result {
    let address = address(&services, &request)?;
    services.rates.signups.check_everywhere(&address).await?;
    let form = form.into_inner();
    let device = device_name(form.device.as_ref(), &request);
    let pass = services
        .identities
        .sign_up(form.username, form.password, form.name.as_deref(), &device)
        .await?;
    Ok(HttpResponse::Ok().json(Opened::from(pass)))
}

/// Lets somebody look around with a name and no password, where the node allows it.
#[utoipa::path(post, path = "/v1/auth/guest", tag = "auth", request_body = GuestSignUp,
    responses((status = 200, body = Opened), (status = 403, description = "No guests here")))]
pub(super) async fn guest(
    services: web::Data<Services>,
    request: HttpRequest,
    form: web::Json<GuestSignUp>,
) -> Result {
    if !services.settings.now().live.guests {
        let message = "this node takes no guests; sign up instead";
        return Err(Error::new(ErrorCode::Forbidden, message).into());
    }
    let address = address(&services, &request)?;
    services.rates.signups.check_everywhere(&address).await?;
    let device = device_name(form.device.as_ref(), &request);
    let pass = services.identities.guest(&form.name, &device).await?;
    Ok(HttpResponse::Ok().json(Opened::from(pass)))
}

/// Signs in with a password.
#[utoipa::path(post, path = "/v1/auth/sign-in", tag = "auth", request_body = SignIn,
    responses((status = 200, body = Opened), (status = 401, description = "Wrong name or password")))]
pub(super) async fn sign_in(
    services: web::Data<Services>,
    request: HttpRequest,
    form: web::Json<SignIn>,
) -> Result {
    let address = address(&services, &request)?;
    let form = form.into_inner();
    let device = device_name(form.device.as_ref(), &request);
    let pass = services
        .identities
        .sign_in(
            &services.rates,
            address,
            form.username,
            form.password,
            &device,
        )
        .await?;
    Ok(HttpResponse::Ok().json(Opened::from(pass)))
}

/// Exchanges a refresh token for the next pass. One that was used before ends its login.
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "auth", request_body = Refresh,
    responses((status = 200, body = Opened), (status = 401, description = "Unknown, over, or used before")))]
pub(super) async fn refresh(services: web::Data<Services>, form: web::Json<Refresh>) -> Result {
    match services.identities.refresh(&form.refresh_token).await? {
        Refreshed::Renewed(pass) => Ok(HttpResponse::Ok().json(Opened::from(*pass))),
        Refreshed::Reused(login) => {
            revoke(&services, login.user, Some(login.id), None);
            let message = "the refresh token was used before; this login is over, sign in again";
            Err(Error::new(ErrorCode::Revoked, message).into())
        }
    }
}

/// Ends a login: that of the refresh token, or of the bearer.
#[utoipa::path(post, path = "/v1/auth/sign-out", tag = "auth", params(HowMuch),
    request_body = Option<SignOut>, responses((status = 204, description = "Signed out")))]
pub(super) async fn sign_out(
    services: web::Data<Services>,
    request: HttpRequest,
    how_much: web::Query<HowMuch>,
    body: web::Bytes,
) -> Result {
    let form: SignOut = optional(&body)?;
    let everywhere = how_much.is_all()?;
    let identities = &services.identities;
    let (user, login) = if let Some(refresh_token) = form.refresh_token {
        match identities.end_login_of(&refresh_token).await? {
            Some(login) => (login.user, Some(login.id)),
            None => return Ok(HttpResponse::NoContent().finish()),
        }
    } else {
        let token = bearer(&request)?.ok_or_else(unauthenticated)?;
        let identity = identities.verify(token).await?;
        if let Some(login) = identity.login {
            identities.end_login(identity.user, login).await?;
        }
        (identity.user, identity.login)
    };
    if everywhere {
        identities.sign_out_everywhere(user).await?;
        revoke(&services, user, None, None);
    } else if login.is_some() {
        revoke(&services, user, login, None);
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Whom limits count this request for.
fn address(services: &Services, request: &HttpRequest) -> Result<Address> {
    let address = client_address(request, &services.config.trusted_proxies);
    Ok(address.ok_or_else(Error::internal)?.into())
}

/// What the device calls itself, or its program.
fn device_name(device: Option<&Device>, request: &HttpRequest) -> String {
    let named = device.and_then(|device| device.name.clone().or(device.platform.clone()));
    named.unwrap_or_else(|| {
        let program = request.headers().get(USER_AGENT);
        let program = program.and_then(|value| value.to_str().ok());
        program.unwrap_or("unknown").to_owned()
    })
}
