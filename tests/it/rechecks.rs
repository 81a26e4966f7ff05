//! How often a person's sign-ins are checked again, counted inside a node.

use std::time::{Duration, Instant};

use actix::System;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use madang::actors::hub::Subscriber;
use madang::actors::{Services, user};
use madang::config::Config;
use madang::db::{UserRecord, UserRole, UserStatus};
use madang::ids::{LoginId, SessionId, UserId};
use madang::node::Node;

use crate::support::{SECRET, eventually, seconds};

/// So many devices has she.
const DEVICES: i64 = 6;

async fn make_user(services: &Services) -> UserId {
    let user = UserRecord {
        id: UserId::random(),
        sub: "ann".into(),
        username: None,
        password_hash: None,
        name: "Ann".into(),
        role: UserRole::User,
        status: UserStatus::Active,
        revoked_before: 0,
        version: 0,
        created_at: 0,
    };
    let id = user.id;
    let making = services.db.run(move |store| store.create_user(&user));
    making.await.unwrap();
    id
}

async fn attach(services: &Services, user: UserId, device: i64) {
    let who = Subscriber {
        user,
        session: SessionId::from_raw(device),
        worker: 0,
    };
    let attach = |reply_to| user::Command::Attach {
        who,
        login: Some(LoginId::from_raw(device)),
        issued_at: None,
        since: None,
        reply_to,
    };
    services.user(user).ask(attach).await.unwrap();
}

#[test]
fn many_devices_and_a_database_that_is_away_do_not_multiply() {
    System::new().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("madang.db").display().to_string();
        let url = format!("sqlite://{path}");
        let settings = [
            ("MADANG_LISTEN", "127.0.0.1:0"),
            ("MADANG_JWT_SECRET", SECRET),
            ("DATABASE_URL", url.as_str()),
        ];
        let config = Config::with(settings).unwrap();
        let node = Node::start(config).await.unwrap();
        let services = node.services();
        let ann = make_user(services).await;
        for device in 1..=DEVICES {
            attach(services, ann, device).await;
        }
        let run = |statement| {
            let mut database = SqliteConnection::establish(&path).unwrap();
            database
                .batch_execute("PRAGMA busy_timeout = 30000")
                .unwrap();
            database.batch_execute(statement).unwrap();
        };
        run("ALTER TABLE users RENAME TO away");

        let (before, begun) = (services.db.counted().asked, Instant::now());
        let asked = || services.db.counted().asked - before;
        services.identities.forget_everything();
        for _ in 0..5 {
            services.user(ann).tell(user::Command::Recheck);
        }
        eventually("she is checked again", seconds(10), async || {
            (asked() >= 2).then_some(())
        })
        .await;
        assert!(begun.elapsed() >= Duration::from_secs(2), "no pause");
        run("ALTER TABLE away RENAME TO users");
        let all = 2 + 1 + DEVICES as u64;
        eventually("all of her devices are checked", seconds(10), async || {
            (asked() >= all).then_some(())
        })
        .await;
        assert!(begun.elapsed() >= Duration::from_secs(6), "no longer pause");
        assert_eq!(asked(), all, "two failures, her account, and each sign-in");
        node.stop_with(false).await;
    });
}
