//! Accounts and logins.

use std::sync::Arc;

use madang::db::{
    LoginRecord, RoomKind, Rotation, Store, StoreError, UserPatch, UserRecord, UserRole, UserStatus,
};
use madang::ids::{LoginId, UserId};
use madang::protocol::EventKind;

use super::{Stage, change, on_both, patiently};

fn account(name: &str) -> UserRecord {
    let id = UserId::random();
    UserRecord {
        id,
        sub: id.to_string(),
        username: Some(name.to_lowercase()),
        password_hash: Some("$argon2id$…".into()),
        name: name.to_owned(),
        role: UserRole::User,
        status: UserStatus::Active,
        revoked_before: 0,
        version: 1,
        created_at: 5,
    }
}

fn is_there(store: &Arc<dyn Store>, login: LoginId) -> bool {
    store.existing_logins(&[login]).unwrap() == [login]
}

fn create(stage: &Stage, user: UserRecord) -> UserRecord {
    stage.store.create_user(&user).unwrap();
    user
}

#[tokio::test]
async fn accounts_are_found_by_everything_that_names_them() {
    on_both(|stage| {
        let store = &stage.store;
        let ann = create(stage, account("Ännchen"));
        let foreign = UserRecord {
            username: None,
            password_hash: None,
            ..account("From Elsewhere")
        };
        let foreign = create(stage, foreign);
        assert_eq!(store.user(ann.id).unwrap().as_ref(), Some(&ann));
        assert_eq!(
            store.user_by_sub(&foreign.sub).unwrap(),
            Some(foreign.clone())
        );
        assert_eq!(
            store.user_by_username("ÄNNCHEN").unwrap().as_ref(),
            Some(&ann)
        );
        assert_eq!(store.user_by_username("nobody").unwrap(), None);
        let mut both = store
            .users(&[ann.id, UserId::random(), foreign.id])
            .unwrap();
        both.sort_by(|a, b| b.name.cmp(&a.name));
        assert_eq!(both, [ann, foreign]);
        assert_eq!(store.users(&[]).unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn names_are_taken_once() {
    on_both(|stage| {
        let ann = create(stage, account("ann"));
        let namesake = UserRecord {
            username: Some("ANN".into()),
            ..account("other")
        };
        let taken = stage.store.create_user(&namesake);
        assert!(
            matches!(taken, Err(StoreError::Taken("username"))),
            "{taken:?}"
        );
        let twin = UserRecord {
            sub: ann.sub.clone(),
            ..account("twin")
        };
        let taken = stage.store.create_user(&twin);
        assert!(matches!(taken, Err(StoreError::Taken("sub"))), "{taken:?}");
    })
    .await;
}

#[tokio::test]
async fn search_finds_people_who_are_here() {
    on_both(|stage| {
        let store = &stage.store;
        create(stage, account("Bob"));
        create(stage, account("Bobby_Tables"));
        let guest = UserRecord {
            role: UserRole::Guest,
            ..account("Guest Bob")
        };
        create(stage, guest);
        let gone = create(stage, account("Gone Bob"));
        store.resign_user(gone.id, 7).unwrap();
        let found = |query, limit| -> Vec<String> {
            let users = store.search_users(query, limit).unwrap();
            users.into_iter().map(|user| user.name).collect()
        };
        assert_eq!(found("BOB", 9), ["Bob", "Bobby_Tables"]);
        assert_eq!(found("b", 1), ["Bob"]);
        assert_eq!(found("y_t", 9), ["Bobby_Tables"]);
        assert_eq!(found("%", 9), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_change_counts_the_version_up_and_can_insist_on_it() {
    on_both(|stage| {
        let store = &stage.store;
        let ann = create(stage, account("ann"));
        let patch = UserPatch {
            name: Some("Ann B.".into()),
            revoked_before: Some(50),
            if_version: Some(1),
            ..UserPatch::default()
        };
        let changed = store.update_user(ann.id, &patch).unwrap();
        let expected = UserRecord {
            name: "Ann B.".into(),
            revoked_before: 50,
            version: 2,
            ..ann.clone()
        };
        assert_eq!(changed, expected);
        assert_eq!(store.user(ann.id).unwrap(), Some(expected));
        let late = store.update_user(ann.id, &patch);
        assert!(matches!(late, Err(StoreError::Gone)), "{late:?}");
        assert_eq!(store.user(ann.id).unwrap().unwrap().version, 2);

        let back = UserPatch {
            revoked_before: Some(20),
            status: Some(UserStatus::Suspended),
            password_hash: Some("new".into()),
            ..UserPatch::default()
        };
        let changed = store.update_user(ann.id, &back).unwrap();
        assert_eq!(
            (changed.revoked_before, changed.status),
            (50, UserStatus::Suspended)
        );
        assert_eq!(changed.password_hash.as_deref(), Some("new"));
        let nobody = store.update_user(UserId::random(), &back);
        assert!(matches!(nobody, Err(StoreError::Gone)), "{nobody:?}");
    })
    .await;
}

#[tokio::test]
async fn who_resigns_leaves_a_tombstone() {
    on_both(|stage| {
        let store = &stage.store;
        let ann = create(stage, account("ann"));
        store.create_login(&login(ann.id), "hash").unwrap();
        store.resign_user(ann.id, 70).unwrap();
        let left = store.user(ann.id).unwrap().unwrap();
        assert_eq!((left.status, left.sub), (UserStatus::Resigned, ann.sub));
        assert_eq!(
            (left.username, left.password_hash, left.name),
            (None, None, String::new())
        );
        assert_eq!(left.revoked_before, 70);
        assert_eq!(store.logins(ann.id).unwrap(), []);
        create(stage, account("ann"));
    })
    .await;
}

fn login(user: UserId) -> LoginRecord {
    LoginRecord {
        id: LoginId::random(),
        user,
        device: "a browser".into(),
        created_at: 10,
        used_at: 10,
        expires_at: 1_000,
    }
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_second_use_ends_the_login() {
    on_both(|stage| {
        let store = &stage.store;
        let ann = create(stage, account("ann"));
        let first = login(ann.id);
        store.create_login(&first, "one").unwrap();
        assert!(is_there(store, first.id));
        let renewed = LoginRecord {
            used_at: 20,
            expires_at: 2_000,
            ..first.clone()
        };
        let rotation = store.rotate_login("one", "two", 20, 2_000).unwrap();
        assert_eq!(rotation, Rotation::Renewed(renewed.clone()));
        assert_eq!(store.logins(ann.id).unwrap(), vec![renewed.clone()]);
        assert_eq!(
            store.rotate_login("two", "three", 2_000, 9_000).unwrap(),
            Rotation::Unknown
        );
        assert_eq!(
            store.rotate_login("zero", "three", 20, 9_000).unwrap(),
            Rotation::Unknown
        );
        let reuse = store.rotate_login("one", "three", 30, 3_000).unwrap();
        assert_eq!(reuse, Rotation::Reused(renewed));
        assert!(!is_there(store, first.id));
        assert_eq!(
            store.rotate_login("two", "three", 30, 3_000).unwrap(),
            Rotation::Unknown
        );
    })
    .await;
}

#[tokio::test]
async fn of_many_uses_at_once_one_wins() {
    on_both(|stage| {
        let ann = create(stage, account("ann"));
        for round in 0..10 {
            let token = format!("token {round}");
            stage.store.create_login(&login(ann.id), &token).unwrap();
            let outcomes: Vec<Rotation> = std::thread::scope(|scope| {
                let users: Vec<_> = (0..4)
                    .map(|i| {
                        let (store, token) = (&stage.store, &token);
                        let next = format!("next {round} {i}");
                        scope.spawn(move || {
                            patiently(|| store.rotate_login(token, &next, 20, 2_000))
                        })
                    })
                    .collect();
                users.into_iter().map(|user| user.join().unwrap()).collect()
            });
            let renewed = outcomes
                .iter()
                .filter(|o| matches!(o, Rotation::Renewed(_)));
            // The others find a token that nobody knows any more.
            let reused = outcomes.iter().filter(|o| matches!(o, Rotation::Reused(_)));
            assert_eq!((renewed.count(), reused.count()), (1, 1), "{outcomes:?}");
        }
        assert_eq!(
            stage.store.logins(ann.id).unwrap(),
            [],
            "all families are revoked"
        );
    })
    .await;
}

#[tokio::test]
async fn logins_end_one_by_one_all_at_once_or_of_age() {
    on_both(|stage| {
        let store = &stage.store;
        let [ann, bob] = [
            create(stage, account("ann")).id,
            create(stage, account("bob")).id,
        ];
        let mut logins: Vec<LoginRecord> = (0..4).map(|_| login(ann)).collect();
        for (i, login) in logins.iter_mut().enumerate() {
            login.used_at += i as i64;
            store.create_login(login, &format!("token {i}")).unwrap();
        }
        let ids = |logins: Vec<LoginRecord>| logins.iter().map(|l| l.id).collect::<Vec<_>>();
        let newest_first: Vec<LoginId> = logins.iter().rev().map(|login| login.id).collect();
        assert_eq!(ids(store.logins(ann).unwrap()), newest_first);

        let first = logins[0].id;
        assert_eq!(ids(store.end_logins(bob, Some(first)).unwrap()), []);
        assert_eq!(ids(store.end_logins(ann, Some(first)).unwrap()), [first]);
        assert_eq!(
            store.end_login_of("token 1").unwrap().unwrap().id,
            logins[1].id
        );
        assert_eq!(store.end_login_of("token 1").unwrap(), None);
        assert_eq!(store.sweep_logins(1_000).unwrap(), 0);
        store.rotate_login("token 2", "later", 20, 5_000).unwrap();
        // Login 3 with its token, and the used token of login 2.
        assert_eq!(store.sweep_logins(1_001).unwrap(), 2);
        assert_eq!(ids(store.end_logins(ann, None).unwrap()), [logins[2].id]);
    })
    .await;
}

#[tokio::test]
async fn whoever_looks_finds_every_account_that_changed() {
    on_both(|stage| {
        let store = &stage.store;
        let [ann, bob, cho] = ["ann", "bob", "cho"].map(|name| create(stage, account(name)));
        let start = store.user_revision().unwrap();
        let changed = |after| {
            let changed = store.users_changed(after, 10).unwrap();
            let newest = changed.last().map_or(after, |(_, revision)| *revision);
            let users: Vec<_> = changed.into_iter().map(|(user, _)| user).collect();
            (users, newest)
        };
        assert_eq!(changed(start), (vec![], start));
        let renamed = UserPatch {
            name: Some("Bobby".into()),
            ..UserPatch::default()
        };
        store.update_user(bob.id, &renamed).unwrap();
        store.update_user(ann.id, &renamed).unwrap();
        store.update_user(bob.id, &renamed).unwrap();
        // Each once, by its newest change.
        let (users, seen) = changed(start);
        assert_eq!(users, [ann.id, bob.id]);
        assert_eq!(store.user_revision().unwrap(), seen);
        assert_eq!(store.users_changed(start, 1).unwrap()[0].0, ann.id);
        for number in 1..=4 {
            let login = LoginRecord {
                id: LoginId::from_raw(number),
                user: cho.id,
                device: "a phone".into(),
                created_at: 1,
                used_at: 1,
                expires_at: 1_000,
            };
            store
                .create_login(&login, &format!("token-{number}"))
                .unwrap();
        }
        // A sign-in ends nothing; its end does, however it comes.
        assert_eq!(changed(seen), (vec![], seen));
        store
            .end_logins(cho.id, Some(LoginId::from_raw(1)))
            .unwrap();
        let (users, seen) = changed(seen);
        assert_eq!(users, [cho.id]);
        store.end_login_of("token-2").unwrap();
        let (users, seen) = changed(seen);
        assert_eq!(users, [cho.id]);
        store.rotate_login("token-3", "next", 10, 1_000).unwrap();
        assert_eq!(changed(seen), (vec![], seen));
        store.rotate_login("token-3", "again", 11, 1_000).unwrap();
        let (users, seen) = changed(seen);
        assert_eq!(users, [cho.id]);
        store.resign_user(cho.id, 12).unwrap();
        assert_eq!(changed(seen).0, [cho.id]);
    })
    .await;
}

#[tokio::test]
async fn who_resigned_and_is_still_a_member_is_found() {
    on_both(|stage| {
        let store = &stage.store;
        let [ann, bob] = ["ann", "bob"].map(|name| create(stage, account(name)));
        let room = stage.room(RoomKind::Open, &[ann.id, bob.id]);
        assert_eq!(store.resigned_members(10).unwrap(), []);
        store.resign_user(ann.id, 5).unwrap();
        assert_eq!(store.resigned_members(10).unwrap(), [ann.id]);
        stage.append(room, vec![change(EventKind::Leave, ann.id, ann.id, None)]);
        assert_eq!(store.resigned_members(10).unwrap(), []);
    })
    .await;
}
