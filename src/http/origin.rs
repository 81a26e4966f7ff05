//! Which web pages may talk to this node: its own, and those that the configuration names.

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};

/// Where a request says it comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From a program, or from this node's own page.
    Own,
    /// From a page that the configuration names.
    Allowed(HeaderValue),
    /// From anywhere else; `null` is foreign, too.
    Foreign,
}

impl Origin {
    /// Reads `Origin` and compares it exactly: own is whose host and port equal `Host`.
    pub(super) fn of(request: &ServiceRequest, allowed: &[String]) -> Self {
        let mut origins = request.headers().get_all(ORIGIN);
        let Some(origin) = origins.next() else {
            return Origin::Own;
        };
        // Not what a proxy header says the host was: anybody may write one.
        let host = request
            .headers()
            .get(HOST)
            .and_then(text)
            .unwrap_or_default();
        match text(origin) {
            Some(text) if origins.next().is_none() => Self::compare(origin, text, host, allowed),
            Some(_) | None => Origin::Foreign,
        }
    }

    fn compare(origin: &HeaderValue, text: &str, host: &str, allowed: &[String]) -> Self {
        let own = ["http://", "https://"]
            .iter()
            .any(|scheme| text.strip_prefix(scheme) == Some(host));
        if own {
            Origin::Own
        } else if allowed.iter().any(|allowed| allowed == text) {
            Origin::Allowed(origin.clone())
        } else {
            Origin::Foreign
        }
    }

    /// Lets the browser show the answer to an allowed page.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        if let Origin::Allowed(origin) = self {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("etag, retry-after"),
            );
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
    }

    /// The answer to a browser that asks first, for an allowed page.
    pub(super) fn preflight(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let asks = request.method() == Method::OPTIONS
            && request
                .headers()
                .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        match self {
            Origin::Allowed(_) if asks => Some(
                HttpResponse::NoContent()
                    .insert_header((
                        ACCESS_CONTROL_ALLOW_METHODS,
                        "GET, POST, PUT, PATCH, DELETE",
                    ))
                    .insert_header((
                        ACCESS_CONTROL_ALLOW_HEADERS,
                        "authorization, content-type, idempotency-key, if-match, if-none-match",
                    ))
                    .insert_header((ACCESS_CONTROL_MAX_AGE, "600"))
                    .finish(),
            ),
            Origin::Allowed(_) | Origin::Own | Origin::Foreign => None,
        }
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn origin(of: &[&'static str]) -> Origin {
        let mut request = TestRequest::default().insert_header((HOST, "chat.org:8080"));
        for origin in of {
            request = request.append_header((ORIGIN, *origin));
        }
        Origin::of(&request.to_srv_request(), &["https://app.org".to_owned()])
    }

    #[test]
    fn origins_are_compared_exactly() {
        assert_eq!(origin(&[]), Origin::Own);
        assert_eq!(origin(&["http://chat.org:8080"]), Origin::Own);
        assert_eq!(
            origin(&["https://app.org"]),
            Origin::Allowed(HeaderValue::from_static("https://app.org"))
        );
        for foreign in [
            "null",
            "",
            "http://chat.org",
            "http://chat.org:8080.evil.org",
            "http://evil.org/?http://chat.org:8080",
            "https://app.org.evil.org",
            "http://app.org",
            "https://app.org/",
            "ftp://chat.org:8080",
        ] {
            assert_eq!(origin(&[foreign]), Origin::Foreign, "{foreign}");
        }
        assert_eq!(origin(&["http://chat.org:8080", "null"]), Origin::Foreign);
    }
}
