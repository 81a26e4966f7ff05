//! What every node tells everybody: health, itself, and how it says no.

use serde_json::{Value, json};

use crate::support::{answer, eventually, now_ms, on_every_backend, seconds};

#[test]
fn common_data_comes_from_memory_with_a_tag() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let nobody = node.anonymous();
        let get =
            async |key: &str| nobody.get(&format!("common/{key}")).await.good()["value"].clone();
        assert_eq!(get("version").await, env!("CARGO_PKG_VERSION"));
        assert!(get("time").await.as_u64().unwrap().abs_diff(now_ms()) < 60_000);
        for key in ["min_client_version", "health", "features", "notice"] {
            get(key).await;
        }
        let first = nobody.get("common/version").await;
        let tag = first.headers["etag"].clone();
        let again = nobody
            .request("GET", "common/version")
            .header("If-None-Match", tag);
        assert_eq!(answer(again).await.unwrap().status, 304);
        let absent = nobody.get("common/no-such-key").await;
        assert_eq!((absent.status, absent.refusal()), (404, "not_found"));
    });
}

#[test]
fn health_is_told_and_counted() {
    on_every_backend(async |world| {
        let node = world.start().await;
        for page in ["healthz", "readyz"] {
            let answer = reqwest::get(format!("{}/{page}", node.url()))
                .await
                .unwrap();
            assert_eq!(answer.status(), 200, "/{page}");
        }
        let mut ann = node.connect("ann").await;
        assert_eq!(node.metric("madang_sessions").await, 1.0);
        assert_eq!(node.metric("madang_users").await, 1.0);
        let room = node.room("ann", &[]).await;
        ann.subscribe(&room).await;
        assert_eq!(node.metric("madang_rooms").await, 1.0);
        // In a cluster the room is in the log, and in the database a moment later.
        eventually("nothing is left to write", seconds(10), async || {
            (node.metric("madang_backlog_events").await == 0.0).then_some(())
        })
        .await;
    });
}

#[test]
fn a_node_describes_itself() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let page = node.anonymous().get_root("openapi.json").await;
        let description: Value = serde_json::from_str(&page).unwrap();
        assert!(
            description["openapi"].as_str().unwrap().starts_with("3."),
            "{description}"
        );
        let paths = description["paths"].as_object().unwrap();
        for route in madang::http::routes::routes() {
            let method = route.method.as_str().to_lowercase();
            let told = paths.get(route.path).and_then(|path| path.get(&method));
            // A stream of frames and the files of the web client are no REST.
            let other = route.path == "/v1/ws" || route.path.contains(":.*");
            assert!(
                told.is_some() || other,
                "{method} {} is not described",
                route.path
            );
        }
        assert!(node.anonymous().get_root("docs/").await.contains("<html"));
    });
}

#[test]
fn every_no_is_a_problem_document() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let ann = node.rest("ann");
        let nowhere = ann.get("no/such/route").await;
        assert_eq!((nowhere.status, nowhere.refusal()), (404, "not_found"));
        let method = ann.send("DELETE", "rooms", None).await;
        assert_eq!(
            (method.status, method.refusal()),
            (405, "method_not_allowed")
        );
        assert!(method.headers.contains_key("allow"), "{method:?}");
        let absent = ann.get("rooms/r0123456789abcdef").await;
        assert_eq!((absent.status, absent.refusal()), (404, "room_not_found"));
        assert_eq!(absent.body["code"], 3001);
        let nobody = node.anonymous().get("me").await;
        assert_eq!((nobody.status, nobody.refusal()), (401, "unauthenticated"));
        let plain = ann
            .request("POST", "rooms")
            .header("Content-Type", "text/plain");
        let plain = answer(plain.body(json!({"name": "x", "kind": "open"}).to_string())).await;
        let plain = plain.unwrap();
        assert!((400..500).contains(&plain.status), "{plain:?}");
        plain.refusal();
        let large = json!({"name": "x".repeat(100_000), "kind": "open"});
        let large = ann.post("rooms", large).await;
        assert_eq!((large.status, large.refusal()), (413, "frame_too_large"));
    });
}
