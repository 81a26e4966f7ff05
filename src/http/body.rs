//! How bodies, queries and paths are read, and what is said of those that cannot be.

use actix_web::error::{JsonPayloadError, QueryPayloadError};
use actix_web::{HttpRequest, web};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::error::{Problem, Result};
use crate::error::Error;
use crate::protocol::{ErrorCode, MAX_FRAME_BYTES};

/// Makes every extractor answer with a problem document.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let json = web::JsonConfig::default()
        .limit(MAX_FRAME_BYTES)
        .error_handler(|cause, _| wrong_body(&cause).into());
    let query = web::QueryConfig::default().error_handler(|cause, _| wrong_query(&cause).into());
    let path = web::PathConfig::default().error_handler(|_, request| wrong_path(request).into());
    let bytes = web::PayloadConfig::default().limit(MAX_FRAME_BYTES);
    config
        .app_data(json)
        .app_data(query)
        .app_data(path)
        .app_data(bytes);
}

/// A JSON body that may be left out. What is there has to be right.
pub(super) fn optional<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|cause| wrong_json(&cause))
}

fn wrong_body(cause: &JsonPayloadError) -> Problem {
    let error = match cause {
        JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => {
            let message = format!("a body has at most {MAX_FRAME_BYTES} bytes");
            Error::new(ErrorCode::FrameTooLarge, message)
        }
        JsonPayloadError::ContentType => {
            let message = "a JSON body is wanted, and Content-Type: application/json";
            Error::new(ErrorCode::BadFrame, message)
        }
        JsonPayloadError::Deserialize(cause) => return wrong_json(cause),
        other => Error::new(ErrorCode::BadFrame, other.to_string()),
    };
    error.into()
}

fn wrong_json(cause: &serde_json::Error) -> Problem {
    let error = match cause.classify() {
        Category::Data => Error::bad_field(cause.to_string()),
        Category::Io | Category::Syntax | Category::Eof => {
            Error::new(ErrorCode::BadFrame, format!("not JSON: {cause}"))
        }
    };
    error.into()
}

fn wrong_query(cause: &QueryPayloadError) -> Problem {
    Error::bad_field(cause.to_string()).into()
}

/// What is no id names nothing.
fn wrong_path(request: &HttpRequest) -> Problem {
    if request.path().starts_with("/v1/rooms/") {
        Error::room_not_found().into()
    } else {
        Problem::NotFound
    }
}
