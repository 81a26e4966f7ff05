//! Settings that change while a node runs.

use serde_json::{Value, json};

use crate::support::{Answer, Rest, TestNode, WsClient, eventually, on_every_backend, seconds};

/// Sets these values; a refusal is for the caller to judge.
async fn set(admin: &Rest, settings: Value) -> Answer {
    admin
        .put("admin/config", json!({ "settings": settings }))
        .await
}

/// One entry of what `GET` lists.
fn entry<'a>(effective: &'a Value, key: &str) -> &'a Value {
    let entries = effective["settings"].as_array().unwrap();
    let found = entries.iter().find(|entry| entry["key"] == key);
    found.unwrap_or_else(|| panic!("no {key} in {effective}"))
}

/// Publishes until the node's answer is as wanted.
async fn publishes_until(client: &mut WsClient, room: &str, wanted: Option<&str>) {
    eventually("the new limit holds", seconds(5), async || {
        let id = crate::support::new_client_id();
        let body = json!({"text": "hi"});
        let frame = json!({"type": "publish", "room": room, "client_id": id, "body": body});
        let refusal = client.request(frame).await.err();
        let name = refusal.map(|refusal| refusal.name);
        (name.as_deref() == wanted).then_some(())
    })
    .await;
}

#[test]
fn every_value_is_shown_with_its_origin_and_no_secret() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let admin = node.admin();
        let shown = admin.get("admin/config").await.good();
        assert_eq!(shown["version"], 0);
        assert_eq!(shown["versions"], json!([]));
        let origin = |key| entry(&shown, key)["origin"].clone();
        assert_eq!(origin("MADANG_GUESTS"), "environment");
        assert_eq!(origin("MADANG_ACK"), "default");
        assert_eq!(entry(&shown, "MADANG_GUESTS")["value"], "true");
        assert_eq!(entry(&shown, "MADANG_GUESTS")["live"], true);
        for fixed in [
            "MADANG_LISTEN",
            "MADANG_JWT_SECRET",
            "DATABASE_URL",
            "REDIS_URL",
        ] {
            assert_eq!(entry(&shown, fixed)["live"], false, "{fixed}");
        }
        assert!(!shown.to_string().contains(crate::support::SECRET));
        let set = set(&admin, json!({"MADANG_ACK": "db"})).await.good();
        assert_eq!(entry(&set, "MADANG_ACK")["value"], "db");
        assert_eq!(entry(&set, "MADANG_ACK")["origin"], "live");
        let me = node.admin().get("me").await.good()["id"].clone();
        let version = &set["versions"][0];
        assert_eq!((&version["version"], &version["by"]), (&json!(1), &me));
        let change = json!({"MADANG_ACK": {"from": null, "to": "db"}});
        assert_eq!(version["changes"], change);
    });
}

#[test]
fn nothing_changes_when_anything_is_wrong() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let admin = node.admin();
        let wrong = [
            ("MADANG_ACK", json!("perhaps")),
            ("MADANG_LIMIT_IN_FLIGHT", json!(-1)),
            ("MADANG_LIMIT_IN_FLIGHT", json!("")),
            ("MADANG_ALLOWED_ORIGINS", json!(["https://chat.org/path"])),
            ("MADANG_NOTICE", json!("x".repeat(1001))),
            ("MADANG_NOTICE", json!("a\u{0}b")),
            ("MADANG_NOTICE", json!({"text": "hi"})),
            ("MADANG_MIN_CLIENT_VERSION", json!("newest")),
            (
                "MADANG_JWT_SECRET",
                json!("0123456789abcdef0123456789abcdef"),
            ),
            ("DATABASE_URL", json!("sqlite://other.db")),
            ("MADANG_LISTEN", json!("0.0.0.0:1")),
            ("MADANG_NO_SUCH_KEY", json!(1)),
        ];
        for (key, value) in wrong {
            // One good value beside it must not slip through.
            let refused = set(&admin, json!({"MADANG_GUESTS": false, key: value})).await;
            assert_eq!(
                (refused.status, refused.refusal()),
                (422, "bad_field"),
                "{key}"
            );
            assert_eq!(refused.body["key"], key, "{refused:?}");
        }
        let allowed = set(&admin, json!({"MADANG_ACK": "perhaps"})).await;
        assert_eq!(allowed.body["allowed"], "log or db");
        let shown = admin.get("admin/config").await.good();
        assert_eq!(shown["version"], 0);
        assert_eq!(entry(&shown, "MADANG_GUESTS")["value"], "true");
    });
}

#[test]
fn of_many_who_saw_the_same_version_one_wins() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let admin = node.admin();
        set(&admin, json!({"MADANG_NOTICE": "first"})).await.good();
        let tries: Vec<_> = (0..8)
            .map(|number| {
                let admin = admin.clone();
                let notice = json!({"MADANG_NOTICE": format!("try {number}")});
                let body = json!({"version": 1, "settings": notice});
                tokio::spawn(async move { admin.put("admin/config", body).await })
            })
            .collect();
        let mut won = 0;
        for answer in tries {
            let answer = answer.await.unwrap();
            if answer.status == 200 {
                won += 1;
            } else {
                assert_eq!((answer.status, answer.refusal()), (409, "conflict"));
                assert_eq!(answer.body["version"], 2);
            }
        }
        assert_eq!(won, 1);
        // Who names no version always gets through.
        let last = set(&admin, json!({"MADANG_NOTICE": "last"})).await.good();
        assert_eq!(last["version"], 3);
        let same = set(&admin, json!({"MADANG_NOTICE": "last"})).await.good();
        assert_eq!(same["version"], 3, "nothing has changed");
    });
}

#[test]
fn a_connection_takes_on_new_limits_while_it_lives() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let admin = node.admin();
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        ann.publish(&room, "as fast as I like").await;
        set(&admin, json!({"MADANG_LIMIT_PUBLISH_PER_SECOND": 1}))
            .await
            .good();
        publishes_until(&mut ann, &room, Some("rate_limited")).await;
        let later = node.connect("ann").await;
        assert_eq!(later.welcome["limits"]["publish_per_second"], 1);
        set(&admin, json!({"MADANG_LIMIT_PUBLISH_PER_SECOND": null}))
            .await
            .good();
        for _ in 0..20 {
            publishes_until(&mut ann, &room, None).await;
        }
        // Shared limits follow, too.
        set(&admin, json!({"MADANG_LIMIT_CONNECTIONS_PER_USER": 2}))
            .await
            .good();
        let mut third = WsClient::dial(&node.address).await;
        let token = node.token("ann");
        third
            .send(json!({"type": "hello", "version": 1, "token": token}))
            .await;
        assert_eq!(third.closed().await, 4301);
    });
}

#[test]
fn doors_open_and_close_at_once() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let (admin, nobody) = (node.admin(), node.anonymous());
        let guest = async || {
            let form = json!({"name": "Guest"});
            nobody.post("auth/guest", form).await.status
        };
        let foreign = async || {
            let request = nobody.request("GET", "common/version");
            let request = request.header("Origin", "https://app.example");
            crate::support::answer(request).await.unwrap().status
        };
        assert_eq!((guest().await, foreign().await), (200, 403));
        let origins = json!(["https://app.example", "https://b.example"]);
        let doors = json!({"MADANG_GUESTS": false, "MADANG_ALLOWED_ORIGINS": origins});
        set(&admin, doors).await.good();
        assert_eq!((guest().await, foreign().await), (403, 200));
        let back = json!({"MADANG_GUESTS": null, "MADANG_ALLOWED_ORIGINS": null});
        set(&admin, back).await.good();
        assert_eq!((guest().await, foreign().await), (200, 403));
    });
}

#[test]
fn what_was_set_outlives_a_restart() {
    on_every_backend(async |world| {
        let mut node = world.start().await;
        set(
            &node.admin(),
            json!({"MADANG_GUESTS": "no", "MADANG_NOTICE": "점검"}),
        )
        .await
        .good();
        node.restart().await;
        let shown = node.admin().get("admin/config").await.good();
        assert_eq!(shown["version"], 1);
        assert_eq!(entry(&shown, "MADANG_GUESTS")["origin"], "live");
        assert_eq!(fact(&node, "notice").await, "점검");
        assert_eq!(fact(&node, "features").await["guests"], false);
    });
}

async fn fact(node: &TestNode, key: &str) -> Value {
    let path = format!("common/{key}");
    node.anonymous().get(&path).await.good()["value"].clone()
}

#[test]
fn a_notice_is_told_to_everybody() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let admin = node.admin();
        let mut people = [node.connect("ann").await, node.connect("bob").await];
        assert_eq!(fact(&node, "notice").await, Value::Null);
        let news =
            json!({"MADANG_NOTICE": "a pause at noon", "MADANG_MIN_CLIENT_VERSION": "2.0.1"});
        set(&admin, news).await.good();
        for client in &mut people {
            let told = client.expect("account").await;
            assert_eq!(told["kind"], "config");
            assert_eq!(told["data"], json!({"notice": "a pause at noon"}));
        }
        assert_eq!(fact(&node, "notice").await, "a pause at noon");
        assert_eq!(fact(&node, "min_client_version").await, "2.0.1");
        set(&admin, json!({"MADANG_NOTICE": null})).await.good();
        for client in &mut people {
            let told = client.expect("account").await;
            assert_eq!(told["data"], json!({"notice": null}));
        }
    });
}

#[test]
fn the_file_is_read_again_at_sighup() {
    on_every_backend(async |world| {
        let mut node = world.start().await;
        let notice_is = async |node: &TestNode, wanted: &str| {
            eventually("the file is read", seconds(5), async || {
                (fact(node, "notice").await == wanted).then_some(())
            })
            .await;
        };
        node.configure("MADANG_NOTICE = \"from the file\"\nMADANG_WORKERS = 7\n");
        node.hang_up();
        notice_is(&node, "from the file").await;
        eventually("what needs a restart is told", seconds(5), async || {
            let log = node.log();
            log.contains("MADANG_WORKERS is different now")
                .then_some(())
        })
        .await;
        let shown = node.admin().get("admin/config").await.good();
        assert_eq!(entry(&shown, "MADANG_NOTICE")["origin"], "file");
        // What was set for all nodes wins; what is wrong changes nothing.
        set(&node.admin(), json!({"MADANG_NOTICE": "live"}))
            .await
            .good();
        node.configure("MADANG_NOTICE = \"again\"\nMADANG_ACK = \"perhaps\"\n");
        node.hang_up();
        eventually("the mistake is told", seconds(5), async || {
            node.log().contains("MADANG_ACK = perhaps").then_some(())
        })
        .await;
        node.configure("MADANG_NOTICE = \"once more\"\n");
        node.hang_up();
        assert_eq!(fact(&node, "notice").await, "live");
        set(&node.admin(), json!({"MADANG_NOTICE": null}))
            .await
            .good();
        notice_is(&node, "once more").await;
        assert!(node.terminate().await.success());
    });
}
