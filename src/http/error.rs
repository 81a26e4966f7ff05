//! The only map from [`Error`] to a status and a problem document (RFC 9457).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::Error;
use crate::protocol::ErrorCode;

/// What a handler answers, or why not.
pub(super) type Result<T = HttpResponse, E = Problem> = std::result::Result<T, E>;

/// Why a request was refused.
#[derive(Debug)]
pub enum Problem {
    /// For a reason that the other protocols know, too.
    Refused(Error),
    /// Nothing is kept under this address. Status 404.
    NotFound,
    /// The request did not come to an end in time. Status 408.
    TooSlow,
    /// This address does not take this method. Status 405.
    MethodNotAllowed {
        /// What it takes.
        allowed: &'static str,
    },
}

/// The body of a refusal, `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    /// A URN that ends in `name`.
    #[serde(rename = "type")]
    kind: String,
    /// The name in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong and what to do, for a person.
    detail: String,
    /// The code of `docs/PROTOCOL.md`; the status where that document has none.
    code: u16,
    /// The name that belongs to the code.
    name: &'static str,
    /// When the same request may succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// Facts that belong to the refusal, for instance `capacity`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    facts: Map<String, Value>,
}

/// The status that stands for a code.
pub const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadFrame | ErrorCode::UnknownType | ErrorCode::VersionUnsupported => {
            StatusCode::BAD_REQUEST
        }
        ErrorCode::BadField => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::FrameTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Unauthenticated
        | ErrorCode::TokenInvalid
        | ErrorCode::TokenExpired
        | ErrorCode::Revoked => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden
        | ErrorCode::NotAMember
        | ErrorCode::Banned
        | ErrorCode::Muted
        | ErrorCode::Frozen
        | ErrorCode::EditWindowOver
        | ErrorCode::Blocked
        | ErrorCode::Quota => StatusCode::FORBIDDEN,
        ErrorCode::RoomNotFound | ErrorCode::MessageNotFound => StatusCode::NOT_FOUND,
        ErrorCode::RoomClosed => StatusCode::GONE,
        ErrorCode::RoomFull | ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::SlowMode | ErrorCode::RateLimited | ErrorCode::TooManyInFlight => {
            StatusCode::TOO_MANY_REQUESTS
        }
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::Unavailable | ErrorCode::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl Problem {
    fn name(&self) -> &'static str {
        match self {
            Problem::Refused(error) => error.code.name(),
            Problem::NotFound => "not_found",
            Problem::TooSlow => "request_timeout",
            Problem::MethodNotAllowed { .. } => "method_not_allowed",
        }
    }

    fn detail(&self) -> String {
        match self {
            Problem::Refused(error) => error.message.clone(),
            Problem::NotFound => "there is nothing at this address".to_owned(),
            Problem::TooSlow => {
                "the request took too long; whether it was done is unknown".to_owned()
            }
            Problem::MethodNotAllowed { allowed } => format!("this address takes {allowed}"),
        }
    }

    fn document(&self) -> Document {
        let error = match self {
            Problem::Refused(error) => Some(error),
            Problem::NotFound | Problem::TooSlow | Problem::MethodNotAllowed { .. } => None,
        };
        let status = self.status_code().as_u16();
        let facts = error.and_then(|error| error.detail.as_deref()?.as_object().cloned());
        Document {
            kind: format!("urn:madang:error:{}", self.name()),
            title: self.name().replace('_', " "),
            status,
            detail: self.detail(),
            code: error.map_or(status, |error| error.code.code()),
            name: self.name(),
            retry_after_ms: error.and_then(|error| error.retry_after_ms),
            facts: facts.unwrap_or_default(),
        }
    }

    fn add_headers(&self, response: &mut HttpResponseBuilder) {
        match self {
            Problem::Refused(error) => {
                if let Some(wait) = retry_after_seconds(error) {
                    response.insert_header((RETRY_AFTER, wait));
                }
                if let Some(challenge) = challenge(error.code) {
                    response.insert_header((WWW_AUTHENTICATE, challenge));
                }
            }
            Problem::MethodNotAllowed { allowed } => {
                response.insert_header((ALLOW, *allowed));
            }
            Problem::NotFound | Problem::TooSlow => {}
        }
    }
}

/// Whole seconds, rounded up; every 429 and 503 says something.
fn retry_after_seconds(error: &Error) -> Option<u64> {
    let default = match status(error.code) {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(1000),
        _ => None,
    };
    let wait = error.retry_after_ms.or(default)?;
    Some(wait.div_ceil(1000).max(1))
}

/// What a 401 has to say (RFC 6750, 3).
fn challenge(code: ErrorCode) -> Option<&'static str> {
    let unauthorized = status(code) == StatusCode::UNAUTHORIZED;
    unauthorized.then_some(if code == ErrorCode::Unauthenticated {
        "Bearer"
    } else {
        r#"Bearer error="invalid_token""#
    })
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Problem::Refused(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.detail())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Problem::Refused(error) => status(error.code),
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Problem::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        self.add_headers(&mut response);
        response
            .insert_header((CONTENT_TYPE, "application/problem+json"))
            .body(serde_json::to_string(&self.document()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn json(problem: impl Into<Problem>) -> Value {
        serde_json::to_value(problem.into().document()).unwrap()
    }

    #[test]
    fn a_refusal_carries_code_name_and_facts() {
        let full = Error::new(ErrorCode::RoomFull, "the room is full")
            .detail(json!({"capacity": 2, "members": 2}));
        assert_eq!(
            json(full),
            json!({
                "type": "urn:madang:error:room_full", "title": "room full", "status": 409,
                "detail": "the room is full", "code": 3004, "name": "room_full",
                "capacity": 2, "members": 2
            })
        );
        assert_eq!(json(Problem::NotFound)["code"], 404);
    }

    #[test]
    fn the_headers_say_when_and_how() {
        let header = |problem: Problem, name| {
            let response = problem.error_response();
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let limited = || Error::rate_limited("tries", 1500).into();
        assert_eq!(header(limited(), RETRY_AFTER).as_deref(), Some("2"));
        let away = || Error::unavailable().into();
        assert_eq!(header(away(), RETRY_AFTER).as_deref(), Some("1"));
        let nobody = || Error::new(ErrorCode::Unauthenticated, "").into();
        assert_eq!(
            header(nobody(), WWW_AUTHENTICATE).as_deref(),
            Some("Bearer")
        );
    }

    #[test]
    fn no_code_is_a_success() {
        for code in ErrorCode::ALL {
            assert!(status(code).as_u16() >= 400, "{code:?}");
        }
    }
}
