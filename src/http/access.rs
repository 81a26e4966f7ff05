//! Who may call a route, and who is calling.

use std::future::{Ready, ready};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError, web};

use super::error::Problem;
use crate::actors::Services;
use crate::db::UserRole;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::protocol::ErrorCode;

/// Who may call a route. Every route has one; there is no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, also without a token.
    Anyone,
    /// Everybody who is signed in, guests as well.
    SignedIn,
    /// Everybody who is signed in and has an account of their own.
    Account,
    /// Whoever can read the room: members, and the room decides.
    Reader,
    /// Members of the room; the room decides.
    Member,
    /// Moderators and the owner of the room; the room decides.
    Moderator,
    /// The owner of the room; the room decides.
    Owner,
    /// Those who run the system.
    Admin,
}

impl Access {
    /// Does it take a token?
    pub const fn needs_token(self) -> bool {
        !matches!(self, Access::Anyone)
    }

    /// May this person come as far as the handler?
    fn admits(self, role: UserRole) -> bool {
        match self {
            Access::Anyone | Access::SignedIn => true,
            // What guests may do in a room depends on its kind, which the room knows.
            Access::Reader | Access::Member | Access::Moderator | Access::Owner => true,
            Access::Account => role != UserRole::Guest,
            Access::Admin => role == UserRole::Admin,
        }
    }
}

/// Lets a request through to its handler, or answers it.
pub(super) async fn check(
    access: Access,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if access.needs_token() {
        match identify(access, &request).await {
            Ok(identity) => drop(request.extensions_mut().insert(identity)),
            Err(error) => {
                let answer = Problem::from(error).error_response();
                return Ok(request.into_response(answer));
            }
        }
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

async fn identify(access: Access, request: &ServiceRequest) -> Result<Identity> {
    let services = request
        .app_data::<web::Data<Services>>()
        .ok_or_else(Error::internal)?;
    let token = bearer(request.request())?.ok_or_else(unauthenticated)?;
    let identity = services.identities.verify(token).await?;
    // What is posted has rates of its own: joins and messages.
    if request.method() != Method::POST {
        services.rates.reads.check(&identity.user)?;
    }
    if !access.admits(identity.role) {
        return Err(Error::new(
            ErrorCode::Forbidden,
            "your account may not do this",
        ));
    }
    Ok(identity)
}

/// The token of the `Authorization` header, if there is one. Nowhere else is looked: a token
/// in an address ends up in logs, and a cookie is sent by pages that do not know it.
pub(super) fn bearer(request: &HttpRequest) -> Result<Option<&str>> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let Some(header) = headers.next() else {
        return Ok(None);
    };
    let token = header.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match token {
        Some(token) if headers.next().is_none() => Ok(Some(token)),
        Some(_) | None => Err(Error::new(
            ErrorCode::TokenInvalid,
            "one header is wanted: Authorization: Bearer TOKEN",
        )),
    }
}

/// Nobody is signed in.
pub(super) fn unauthenticated() -> Error {
    Error::new(
        ErrorCode::Unauthenticated,
        "sign in first, and send Authorization: Bearer TOKEN",
    )
}

/// Whoever was let through. A route without a policy has nobody.
impl FromRequest for Identity {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let identity = request.extensions().get::<Identity>().cloned();
        ready(identity.ok_or_else(|| unauthenticated().into()))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn token(headers: &[&'static str]) -> Result<Option<String>, ErrorCode> {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header((AUTHORIZATION, *header));
        }
        let found = bearer(&request.to_http_request()).map(|token| token.map(str::to_owned));
        found.map_err(|error| error.code)
    }

    #[test]
    fn a_token_comes_in_one_header_only() {
        assert_eq!(token(&[]), Ok(None));
        assert_eq!(token(&["Bearer a.b.c"]), Ok(Some("a.b.c".into())));
        assert_eq!(token(&["bearer a.b.c"]), Ok(Some("a.b.c".into())));
        for wrong in [
            &["Basic YTpi"] as &[_],
            &["a.b.c"],
            &["Bearer a", "Bearer b"],
        ] {
            assert_eq!(token(wrong), Err(ErrorCode::TokenInvalid), "{wrong:?}");
        }
    }
}
