//! A message on its way into a room.

use serde_json::{Value, json};

use super::checker::Published;
use super::view::number;
use super::{WsClient, eventually, new_client_id, seconds};

/// A message before it has its place. Repeated as it is until somebody acknowledges it.
#[derive(Debug, Clone)]
pub struct Draft {
    pub room: String,
    pub client_id: String,
    pub text: String,
}

impl Draft {
    pub fn new(room: &str, text: &str) -> Self {
        Self {
            room: room.to_owned(),
            client_id: new_client_id(),
            text: text.to_owned(),
        }
    }

    pub fn frame(&self) -> Value {
        json!({
            "type": "publish",
            "room": self.room,
            "client_id": self.client_id,
            "body": {"text": self.text},
        })
    }

    /// Says it as a good client does: again, for as long as the answer is "not now".
    pub async fn say(self, client: &mut WsClient) -> Published {
        let ack = eventually("a message is taken", seconds(20), async || {
            match client.request(self.frame()).await {
                Ok(ack) => Some(ack),
                Err(refusal) => {
                    assert_eq!(refusal.frame["retry"], true, "{}", refusal.frame);
                    None
                }
            }
        })
        .await;
        self.acked(&client.user, &ack)
    }

    /// What the ack promises.
    pub fn acked(self, user: &str, ack: &Value) -> Published {
        assert_eq!(ack["type"], "ack", "{ack}");
        assert_eq!(ack["room"], self.room, "{ack}");
        assert_eq!(ack["client_id"], self.client_id, "{ack}");
        Published {
            epoch: ack["epoch"].as_str().expect("an epoch").to_owned(),
            seq: number(ack, "seq"),
            at: number(ack, "at"),
            duplicate: ack["duplicate"] == true,
            from: user.to_owned(),
            room: self.room,
            client_id: self.client_id,
            text: self.text,
        }
    }
}
