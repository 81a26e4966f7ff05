//! S10: guessing and flooding meet a limit, and a word on when to try again.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, TestNode, World, eventually, on_every_backend, seconds};

/// The answer to one too many.
pub(super) fn assert_limited(answer: &Answer) {
    assert_eq!((answer.status, answer.refusal()), (429, "rate_limited"));
    let wait = answer
        .headers
        .get("retry-after")
        .and_then(|value| value.to_str().ok());
    assert!(
        wait.is_some_and(|wait| wait.parse::<u64>().is_ok()),
        "{answer:?}"
    );
}

/// Tries until the limit answers; fails if it does not within so many.
pub(super) async fn until_limited(
    most: usize,
    mut attempt: impl AsyncFnMut(usize) -> Answer,
) -> usize {
    for number in 0..most {
        let answer = attempt(number).await;
        if answer.status == 429 {
            assert_limited(&answer);
            return number;
        }
    }
    panic!("{most} attempts and no limit");
}

/// Tries until the limit answers, and gives how often it had not; that has to be as often as one
/// node lets through, be it with some more that others have not heard of yet, and not as often as
/// several do. As `per_minute` says, time lets more through.
pub(super) async fn limited_as_on_one_node(
    per_minute: usize,
    attempt: impl AsyncFnMut(usize) -> Answer,
) {
    let begun = Instant::now();
    let tries = until_limited(50, attempt).await;
    let leaked = begun.elapsed().as_secs() as usize * per_minute / 60;
    let allowed = per_minute..=2 * per_minute + leaked;
    assert!(allowed.contains(&tries), "limited after {tries}");
}

/// Fails unless this account is shut here, also for the right password. A place may become free at
/// any moment, so it is taken by a wrong one first.
pub(super) async fn assert_shut(node: &TestNode, username: &str, password: &str) {
    eventually("the account is shut", seconds(20), async || {
        let guess = sign_in(node, username, "guess").await;
        let answer = sign_in(node, username, password).await;
        let is_shut = guess.status == 429 && answer.status == 429;
        is_shut.then(|| assert_limited(&answer))
    })
    .await;
}

pub(super) async fn sign_in(node: &TestNode, username: &str, password: &str) -> Answer {
    let person: Value = json!({"username": username, "password": password});
    node.anonymous().post("auth/sign-in", person).await
}

#[test]
fn s10_a_password_is_guessed_only_so_often() {
    on_every_backend(async |mut world: World| {
        world.set("MADANG_LIMIT_SIGNIN_FAILURES_PER_MINUTE", "3");
        let node = world.start().await;
        let person = json!({"username": "carol", "password": "correct horse"});
        node.anonymous().post("auth/sign-up", person).await.good();
        let tries = until_limited(10, async |number| {
            let answer = sign_in(&node, "carol", &format!("guess {number}")).await;
            assert!([401, 429].contains(&answer.status), "{answer:?}");
            answer
        })
        .await;
        assert!(tries >= 3, "limited after {tries}");
        // The account is shut for a while, also for the right password, also spelled otherwise.
        assert_shut(&node, "carol", "correct horse").await;
        assert_shut(&node, "CAROL", "correct horse").await;
        // One cannot tell by this which accounts exist.
        let tries = until_limited(10, async |_| sign_in(&node, "nobody", "guess").await).await;
        assert!(tries >= 3, "limited after {tries}");
    });
}

#[test]
fn s10_wrong_name_and_wrong_password_look_alike() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let person = json!({"username": "carol", "password": "correct horse"});
        node.anonymous().post("auth/sign-up", person).await.good();
        let known = sign_in(&node, "carol", "wrong").await;
        let unknown = sign_in(&node, "nobody", "wrong").await;
        assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
        assert_eq!(known.status, 401);
    });
}

#[test]
fn s10_one_address_signs_up_only_so_often() {
    on_every_backend(async |mut world: World| {
        world.set("MADANG_LIMIT_SIGNUPS_PER_MINUTE", "3");
        let node = world.start().await;
        let tries = until_limited(10, async |number| {
            let person =
                json!({"username": format!("person{number}"), "password": "correct horse"});
            node.anonymous().post("auth/sign-up", person).await
        })
        .await;
        assert!(tries >= 3, "limited after {tries}");
        // Guests count as well: at most one place has become free since.
        let guest = json!({"name": "G"});
        let nobody = node.anonymous();
        let guests = until_limited(10, async |_| nobody.post("auth/guest", guest.clone()).await);
        assert!(guests.await <= 1, "guests count for themselves");
    });
}

#[test]
fn s10_pages_and_joins_are_limited_per_person() {
    on_every_backend(async |mut world: World| {
        // So few that the slowest machine is faster.
        world.set("MADANG_LIMIT_READS_PER_SECOND", "1");
        world.set("MADANG_LIMIT_JOINS_PER_SECOND", "1");
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let rest = node.rest("ann");
        let page = format!("rooms/{room}/messages");
        until_limited(200, async |_| rest.get(&page).await).await;
        // Somebody else is not held up.
        let bob = node.rest("bob");
        bob.get("me").await.good();
        let paths = [format!("rooms/{room}/join"), format!("rooms/{room}/leave")];
        until_limited(200, async |number| {
            bob.post(&paths[number % 2], json!({})).await
        })
        .await;

        let mut cho = node.connect("cho").await;
        cho.good(json!({"type": "join", "room": room})).await;
        let mut limited = None;
        for _ in 0..400 {
            let page = json!({"type": "history", "room": room});
            limited = limited.or(cho.request(page).await.err());
        }
        let limited = limited.expect("pages over the socket are limited, too");
        assert_eq!(limited.name, "rate_limited", "{}", limited.frame);
    });
}

#[test]
fn s10_hashing_passwords_does_not_stop_the_chat() {
    on_every_backend(async |world| {
        let node = world.start().await;
        let room = node.room("ann", &[]).await;
        let mut ann = node.connect("ann").await;
        let guesses = join_all((0..40).map(|_| sign_in(&node, "nobody", "guess")));
        let chat = async {
            for number in 0..100 {
                ann.publish(&room, &format!("meanwhile {number}")).await;
            }
        };
        let (answers, ()) = tokio::join!(guesses, chat);
        for answer in &answers {
            assert!([401, 429, 503].contains(&answer.status), "{answer:?}");
        }
    });
}
