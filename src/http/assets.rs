//! The web client, compiled into the binary.

use actix_web::HttpRequest;
use rust_embed::RustEmbed;

use super::caching::unless_known;
use super::error::{Problem, Result};

#[derive(RustEmbed)]
#[folder = "web/"]
struct Web;

/// The page at `/`, and what it needs.
pub(super) async fn get(request: HttpRequest) -> Result {
    let path = request.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let file = Web::get(path).ok_or(Problem::NotFound)?;
    Ok(unless_known(&request, &file.metadata.sha256_hash(), |ok| {
        ok.content_type(content_type(path, file.metadata.mimetype()))
            .body(file.data)
    }))
}

/// Browsers read text without a charset in the one of the country.
fn content_type(path: &str, guessed: &str) -> String {
    let guessed = if path.ends_with(".js") {
        "text/javascript"
    } else {
        guessed
    };
    if guessed.starts_with("text/") {
        format!("{guessed}; charset=utf-8")
    } else {
        guessed.to_owned()
    }
}
