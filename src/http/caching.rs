//! Answers that a browser keeps, and asks about before it uses them.

use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// What `fill` makes of an answer, or 304 when the asker has it already.
pub(super) fn unless_known(
    request: &HttpRequest,
    content: &[u8],
    fill: impl FnOnce(&mut HttpResponseBuilder) -> HttpResponse,
) -> HttpResponse {
    let tag = tag(content);
    let known = request.headers().get(IF_NONE_MATCH);
    let known = known.and_then(|tags| tags.to_str().ok());
    let unchanged = known.is_some_and(|tags| tags == "*" || tags.contains(&tag));
    let mut response = if unchanged {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "no-cache"));
    if unchanged {
        response.finish()
    } else {
        fill(&mut response)
    }
}

/// A strong validator: the beginning of the content's hash.
fn tag(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    format!("\"{}\"", hex(&hash[..12]))
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::test::TestRequest;

    use super::*;

    fn ask(known: &str, content: &[u8]) -> StatusCode {
        let request = TestRequest::default().insert_header((IF_NONE_MATCH, known));
        unless_known(&request.to_http_request(), content, |ok| ok.finish()).status()
    }

    #[test]
    fn only_what_has_changed_is_sent_again() {
        assert_eq!(ask(&tag(b"a"), b"a"), StatusCode::NOT_MODIFIED);
        assert_eq!(
            ask(&format!("\"x\", {}", tag(b"a")), b"a"),
            StatusCode::NOT_MODIFIED
        );
        assert_eq!(ask(&tag(b"a"), b"b"), StatusCode::OK);
        assert_eq!(ask("", b"b"), StatusCode::OK);
    }
}
