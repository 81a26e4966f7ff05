//! REST as one person, or as nobody.

use serde_json::Value;

/// A client of the node's REST interface.
#[derive(Debug, Clone)]
pub struct Rest {
    url: String,
    token: Option<String>,
    client: reqwest::Client,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: reqwest::header::HeaderMap,
    /// The JSON, or `null` when there is none.
    pub body: Value,
}

impl Answer {
    /// The body of a success.
    #[track_caller]
    pub fn good(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }

    /// The name of the error; the answer must be a problem document that fits its status.
    #[track_caller]
    pub fn refusal(&self) -> &str {
        assert!(self.status >= 400, "{self:?}");
        let kind = self
            .headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        assert!(
            kind.is_some_and(|kind| kind.starts_with("application/problem+json")),
            "{self:?}"
        );
        assert_eq!(self.body["status"], self.status, "{self:?}");
        assert!(self.body["title"].is_string(), "{self:?}");
        self.body["name"]
            .as_str()
            .unwrap_or_else(|| panic!("no name in {self:?}"))
    }
}

impl Rest {
    /// A client that signs in with this token, if any.
    pub fn new(url: &str, token: Option<String>) -> Self {
        let client = reqwest::Client::builder()
            // A kept connection would be a dead one after each restart of the node.
            .pool_max_idle_per_host(0)
            .timeout(std::time::Duration::from_secs(60))
            .build()
            .expect("a client without TLS");
        Self {
            url: url.to_owned(),
            token,
            client,
        }
    }

    /// `GET /v1/{path}`
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    /// `POST /v1/{path}`
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(body)).await
    }

    /// `PUT /v1/{path}`
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, Some(body)).await
    }

    /// `PATCH /v1/{path}`
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, Some(body)).await
    }

    /// `DELETE /v1/{path}`
    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).await
    }

    /// A page outside `/v1`, as text.
    pub async fn get_root(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}/{path}", self.url)).send().await;
        answer
            .expect("the node answers")
            .text()
            .await
            .expect("a page is text")
    }

    /// Any request below `/v1`; an outage of the node is an error, not a panic.
    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.attempt(method, path, body)
            .await
            .expect("the node answers")
    }

    /// Any request below `/v1`, while the node may be away.
    pub async fn attempt(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// A request to be filled in by hand; see [`answer`].
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request = self
            .client
            .request(method, format!("{}/v1/{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// Sends a request made by hand.
pub async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = response.bytes().await?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Answer {
        status,
        headers,
        body,
    })
}
