//! The little of REST that the benchmarks need, over one kept connection.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::{Outcome, token};

/// A signed-in user of the REST interface.
pub struct Rest {
    runtime: Runtime,
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Rest {
    /// Signs in as the user with this number.
    pub fn new(address: SocketAddr, user: usize) -> Outcome<Self> {
        Ok(Self {
            runtime: Builder::new_current_thread().enable_all().build()?,
            client: reqwest::Client::builder().no_proxy().build()?,
            base: format!("http://{address}/v1"),
            token: token::sign(user)?,
        })
    }

    /// Makes an open room and gives its id.
    pub fn create_room(&self, name: &str) -> Outcome<String> {
        let url = format!("{}/rooms", self.base);
        let request = self
            .client
            .post(url)
            .json(&json!({"name": name, "kind": "open"}));
        let answer: Value = serde_json::from_slice(&self.send(request)?)?;
        let room = answer["room"].as_str();
        Ok(room
            .ok_or_else(|| format!("no room in {answer}"))?
            .to_owned())
    }

    /// The body at this path.
    pub fn get(&self, path: &str) -> Outcome<Vec<u8>> {
        self.send(self.client.get(format!("{}{path}", self.base)))
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Outcome<Vec<u8>> {
        self.runtime.block_on(async {
            let response = request.bearer_auth(&self.token).send().await?;
            let status = response.status();
            let body = response.bytes().await?;
            if !status.is_success() {
                return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
            }
            Ok(body.to_vec())
        })
    }
}
