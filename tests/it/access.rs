//! S5: who may call what. The table is the program's own list of routes; what a node answers
//! to everybody at every route has to equal it.

use madang::http::Access;
use madang::http::routes::{Endpoint, routes};
use serde_json::{Value, json};

use crate::support::{Answer, Claims, Rest, TestNode, on_every_backend, sign};

/// Everybody who may knock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Persona {
    Nobody,
    Guest,
    Outsider,
    Member,
    Moderator,
    Owner,
    Admin,
}

use Persona::*;

const EVERYBODY: [Persona; 7] = [Nobody, Guest, Outsider, Member, Moderator, Owner, Admin];

/// A room with its people, who are on no other stage. `target` is in it, `extra` is not.
struct Stage {
    number: usize,
    room: String,
    target: String,
    extra: String,
}

impl Stage {
    async fn set(node: &TestNode, number: usize, kind: &str) -> Self {
        let sub = |who: &str| format!("{who}-{number}");
        let tea = json!({"name": "tea", "kind": kind});
        let room = node.empty_room(&sub("owner"), tea).await;
        let owner = node.rest(&sub("owner"));
        for (who, role) in [
            ("member", "member"),
            ("target", "member"),
            ("moderator", "moderator"),
        ] {
            let user = node.user(&sub(who)).await;
            let path = format!("rooms/{room}/members/{user}");
            owner.put(&path, json!({"role": role})).await.good();
        }
        Self {
            number,
            room,
            target: node.user(&sub("target")).await,
            extra: node.user(&sub("extra")).await,
        }
    }

    /// REST as one of the people of this stage.
    async fn rest(&self, node: &TestNode, persona: Persona) -> Rest {
        let who = match persona {
            Nobody => return node.anonymous(),
            Guest => {
                let nobody = node.anonymous();
                let guest = nobody.post("auth/guest", json!({"name": "Guest"})).await;
                let token = guest.good()["access_token"].clone();
                return Rest::new(&node.url(), token.as_str().map(str::to_owned));
            }
            Outsider => "outsider",
            Member => "member",
            Moderator => "moderator",
            Owner => "owner",
            Admin => "admin",
        };
        let claims = Claims {
            role: (persona == Admin).then(|| "admin".into()),
            ..Claims::of(&format!("{who}-{}", self.number))
        };
        Rest::new(&node.url(), Some(sign(&claims)))
    }

    /// The address with the names of this stage in it, without `/v1`.
    fn path(&self, route: &Endpoint) -> Option<String> {
        let user = if route.method == "DELETE" {
            &self.target
        } else {
            &self.extra
        };
        let path = route.path.strip_prefix("/v1/")?;
        let path = path.replace("{room}", &self.room).replace("{user}", user);
        Some(
            path.replace("{id}", &self.extra)
                .replace("{key}", "version"),
        )
    }

    /// A body that the route understands.
    fn body(&self, route: &Endpoint) -> Option<Value> {
        let body = match (route.method.as_str(), route.path) {
            ("GET" | "DELETE", _) => return None,
            ("POST", "/v1/rooms") => json!({"name": "coffee", "kind": "open"}),
            ("POST", "/v1/rooms/dm") => json!({"user": self.extra}),
            ("POST", "/v1/rooms/{room}/messages") => json!({"body": {"text": "hi"}}),
            ("PUT", "/v1/rooms/{room}/read") => json!({"seq": 1}),
            ("PATCH", _) => json!({"name": "coffee"}),
            _ => json!({}),
        };
        Some(body)
    }

    async fn ask(&self, rest: &Rest, route: &Endpoint) -> Option<Answer> {
        let path = self.path(route)?;
        Some(
            rest.send(route.method.as_str(), &path, self.body(route))
                .await,
        )
    }
}

/// The refusal that the policy wants, or none.
fn wanted(access: Access, persona: Persona, kind: &str) -> Option<&'static str> {
    let outside = match kind {
        "group" => "room_not_found",
        _ => "not_a_member",
    };
    match (access, persona) {
        (Access::Anyone, _) => None,
        (_, Nobody) => Some("unauthenticated"),
        (Access::SignedIn, _) => None,
        (Access::Account, Guest) => Some("forbidden"),
        (Access::Account, _) => None,
        (Access::Admin, Admin) => None,
        (Access::Admin, _) => Some("forbidden"),
        (Access::Reader, Guest | Outsider | Admin) => (kind == "group").then_some(outside),
        (_, Guest | Outsider | Admin) => Some(outside),
        (Access::Reader | Access::Member, _) => None,
        (Access::Moderator | Access::Owner, Member) => Some("forbidden"),
        (Access::Owner, Moderator) => Some("forbidden"),
        (Access::Moderator | Access::Owner, _) => None,
    }
}

const REFUSALS: [&str; 4] = [
    "unauthenticated",
    "forbidden",
    "room_not_found",
    "not_a_member",
];

#[test]
fn s5_every_route_answers_everybody_as_its_policy_says() {
    on_every_backend(async |world| {
        let node = world.start().await;
        for (kind, first) in [("group", 0), ("open", 1000)] {
            let mut stage = Stage::set(&node, first, kind).await;
            // Whoever signs out shows who they are, one way or the other: the route is open.
            let judged = |route: &&Endpoint| route.path != "/v1/auth/sign-out";
            for route in routes().iter().filter(judged) {
                for persona in EVERYBODY {
                    let rest = stage.rest(&node, persona).await;
                    let Some(answer) = stage.ask(&rest, route).await else {
                        continue;
                    };
                    let name = answer.body["name"].as_str().unwrap_or_default();
                    let refused = REFUSALS.into_iter().find(|refusal| *refusal == name);
                    let wanted = wanted(route.access, persona, kind);
                    let call = format!("{} {} as {persona:?}", route.method, route.path);
                    assert_eq!(refused, wanted, "{call}, {kind}: {answer:?}");
                    if wanted.is_none() && route.method != "GET" {
                        // It has done something: the next one finds everything as it was.
                        stage = Stage::set(&node, stage.number + 1, kind).await;
                    }
                }
            }
        }
    });
}

#[test]
fn s5_an_outsider_cannot_tell_a_private_room_from_none() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let private = Stage::set(&node, 0, "group").await;
        let absent = Stage {
            number: 0,
            room: "r0123456789abcdef".into(),
            target: private.target.clone(),
            extra: private.extra.clone(),
        };
        for route in routes()
            .iter()
            .filter(|route| route.path.contains("{room}"))
        {
            for persona in [Outsider, Guest] {
                let rest = private.rest(&node, persona).await;
                let there = private.ask(&rest, route).await.unwrap();
                let not_there = absent.ask(&rest, route).await.unwrap();
                let call = format!("{} {} as {persona:?}", route.method, route.path);
                assert_eq!(
                    (there.status, there.body),
                    (not_there.status, not_there.body),
                    "{call}"
                );
            }
        }
    });
}
