//! Signing in and being signed out, against a real database.

use super::{Claims, Identities, Pass, PasswordChange, Refreshed, Tokens};
use crate::config::{Config, Secret};
use crate::db::{Db, OpenOptions, UserRole};
use crate::error::Result;
use crate::limits::Rates;
use crate::protocol::ErrorCode;

const PASSWORD: &str = "correct horse";

/// Identities on a database of their own, which goes with the folder.
struct World {
    identities: Identities,
    rates: Rates,
    _folder: tempfile::TempDir,
}

impl World {
    fn new(auto_provision: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("chat.db").display());
        let db = Db::open(&url, &OpenOptions::default()).unwrap();
        let secret = Secret::parse("an example key of more than 32 bytes").unwrap();
        let limits = Config::with::<&str>([]).unwrap().at_start.limits;
        Self {
            identities: Identities::new(db, Tokens::new(&secret), auto_provision),
            rates: Rates::new(&limits),
            _folder: folder,
        }
    }

    async fn sign_up(&self, username: &str) -> Pass {
        let password = PASSWORD.to_owned();
        let pass = self
            .identities
            .sign_up(username.into(), password, None, "test");
        pass.await.unwrap()
    }

    async fn sign_in(&self, username: &str, password: &str) -> Result<Pass, ErrorCode> {
        let address = std::net::IpAddr::from([127, 0, 0, 1]).into();
        let (username, password) = (username.to_owned(), password.to_owned());
        let pass = self
            .identities
            .sign_in(&self.rates, address, username, password, "test");
        pass.await.map_err(|error| error.code)
    }

    /// Whose token it is, or why it is refused.
    async fn who(&self, token: &str) -> Result<String, ErrorCode> {
        let identity = self.identities.verify(token).await;
        identity
            .map(|who| who.name.to_string())
            .map_err(|error| error.code)
    }

    async fn refresh(&self, token: &str) -> Option<Box<Pass>> {
        match self.identities.refresh(token).await {
            Ok(Refreshed::Renewed(pass)) => Some(pass),
            Ok(Refreshed::Reused(_)) | Err(_) => None,
        }
    }

    fn token(&self, claims: &Claims) -> String {
        self.identities.tokens().issue(claims).unwrap()
    }
}

#[actix_web::test]
async fn a_person_signs_up_and_in() {
    let world = World::new(false);
    let first = world.sign_up("Ann").await;
    assert_eq!(world.who(&first.access_token).await, Ok("Ann".into()));
    let taken = world
        .identities
        .sign_up("ann".into(), PASSWORD.into(), None, "test");
    assert_eq!(taken.await.unwrap_err().code, ErrorCode::Conflict);
    let second = world.sign_in("aNN", PASSWORD).await.unwrap();
    assert_eq!(second.user.id, first.user.id);
    let wrong = world.sign_in("ann", "battery staple").await;
    assert_eq!(wrong.unwrap_err(), ErrorCode::Unauthenticated);
    let nobody = world.sign_in("nobody", PASSWORD).await;
    assert_eq!(nobody.unwrap_err(), ErrorCode::Unauthenticated);
}

#[actix_web::test]
async fn guessing_a_password_is_slowed_down() {
    let world = World::new(false);
    world.sign_up("ann").await;
    let mut refusals = Vec::new();
    for _ in 0..12 {
        refusals.push(world.sign_in("Ann", "a wrong guess").await.unwrap_err());
    }
    assert!(refusals.contains(&ErrorCode::RateLimited), "{refusals:?}");
    let right = world.sign_in("ann", PASSWORD).await;
    assert_eq!(right.unwrap_err(), ErrorCode::RateLimited);
}

#[actix_web::test]
async fn a_refresh_token_is_good_once_and_twice_ends_the_login() {
    let world = World::new(false);
    let first = world.sign_up("ann").await;
    let second = world.refresh(&first.refresh_token).await.unwrap();
    assert_eq!(world.who(&second.access_token).await, Ok("ann".into()));
    assert!(world.refresh(&first.refresh_token).await.is_none());
    assert!(world.refresh(&second.refresh_token).await.is_none());
    for pass in [first, *second] {
        assert_eq!(world.who(&pass.access_token).await, Err(ErrorCode::Revoked));
    }
}

#[actix_web::test]
async fn signing_out_ends_one_login_and_everywhere_all() {
    let world = World::new(false);
    let phone = world.sign_up("ann").await;
    let laptop = world.sign_in("ann", PASSWORD).await.unwrap();
    let old = world.token(&Claims::new(&phone.user.sub, 60));
    assert_eq!(world.who(&old).await, Ok("ann".into()));

    let ended = world.identities.end_login_of(&phone.refresh_token).await;
    assert_eq!(ended.unwrap().unwrap().user, phone.user.id);
    assert_eq!(
        world.who(&phone.access_token).await,
        Err(ErrorCode::Revoked)
    );
    assert_eq!(world.who(&laptop.access_token).await, Ok("ann".into()));

    world
        .identities
        .sign_out_everywhere(phone.user.id)
        .await
        .unwrap();
    assert_eq!(
        world.who(&laptop.access_token).await,
        Err(ErrorCode::Revoked)
    );
    assert_eq!(world.who(&old).await, Err(ErrorCode::Revoked));
    assert!(world.refresh(&laptop.refresh_token).await.is_none());
    let again = world.sign_in("ann", PASSWORD).await.unwrap();
    assert_eq!(world.who(&again.access_token).await, Ok("ann".into()));
}

#[actix_web::test]
async fn a_new_password_keeps_only_the_login_that_set_it() {
    let world = World::new(false);
    let here = world.sign_up("ann").await;
    let there = world.sign_in("ann", PASSWORD).await.unwrap();
    let keep = world
        .identities
        .verify(&here.access_token)
        .await
        .unwrap()
        .login;
    let change = |current: &str| PasswordChange {
        current: current.into(),
        password: "battery staple".into(),
        if_version: None,
    };
    let (identities, user) = (&world.identities, here.user.id);
    let wrong = identities.change_password(&world.rates, user, change("wrong one"), keep);
    assert_eq!(wrong.await.unwrap_err().code, ErrorCode::Forbidden);
    let right = identities.change_password(&world.rates, user, change(PASSWORD), keep);
    right.await.unwrap();
    assert_eq!(world.who(&here.access_token).await, Ok("ann".into()));
    assert_eq!(
        world.who(&there.access_token).await,
        Err(ErrorCode::Revoked)
    );
    assert!(world.sign_in("ann", PASSWORD).await.is_err());
    assert!(world.sign_in("ann", "battery staple").await.is_ok());
}

#[actix_web::test]
async fn a_stopped_or_given_up_account_opens_nothing() {
    let world = World::new(false);
    let pass = world.sign_up("ann").await;
    let user = pass.user.id;
    world.identities.suspend(user).await.unwrap();
    assert_eq!(world.who(&pass.access_token).await, Err(ErrorCode::Revoked));
    assert_eq!(
        world.sign_in("ann", PASSWORD).await.unwrap_err(),
        ErrorCode::Revoked
    );
    world.identities.lift(user).await.unwrap();
    let pass = world.sign_in("ann", PASSWORD).await.unwrap();
    assert_eq!(world.who(&pass.access_token).await, Ok("ann".into()));
    world.identities.resign(user).await.unwrap();
    assert_eq!(world.who(&pass.access_token).await, Err(ErrorCode::Revoked));
    assert!(world.sign_in("ann", PASSWORD).await.is_err());
}

#[actix_web::test]
async fn people_of_another_service_come_in_when_they_may() {
    let claims = Claims {
        name: Some("Zoë\u{0}".into()),
        role: Some("admin".into()),
        ..Claims::new("their:42", 60)
    };
    let closed = World::new(false);
    let refused = closed.who(&closed.token(&claims)).await;
    assert_eq!(refused, Err(ErrorCode::TokenInvalid));

    let open = World::new(true);
    let first = open.identities.verify(&open.token(&claims)).await.unwrap();
    assert_eq!((&*first.name, first.role), ("Zoë", UserRole::Admin));
    let again = open
        .identities
        .verify(&open.token(&Claims::new("their:42", 60)))
        .await;
    assert_eq!(again.unwrap().user, first.user);
}
