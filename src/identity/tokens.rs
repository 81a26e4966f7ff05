//! Access tokens: JWTs that anybody who has the key can issue and every node can check.

use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::clock::now_ms;
use crate::config::Secret;
use crate::error::{Error, Result};
use crate::ids::LoginId;
use crate::protocol::ErrorCode;

/// Longer ones are not looked at, bytes.
const MAX_BYTES: usize = 8 * 1024;
/// Longest `sub`, bytes.
const MAX_SUB_BYTES: usize = 255;
/// By how much an issuer's clock may be ahead of ours.
const MAX_AHEAD_MS: i64 = 60_000;
/// Whom tokens are for, if they say.
const AUDIENCE: &str = "madang";
/// What they are for, if they say.
const ACCESS: &str = "access";
/// What the header may call itself: RFC 7519 and RFC 9068.
const HEADER_TYPES: [&str; 2] = ["JWT", "at+jwt"];

/// What a token says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Whom it stands for.
    pub sub: String,
    /// Until when it holds, Unix seconds.
    pub exp: i64,
    /// When it was issued, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// The same in milliseconds, in tokens that this system issues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat_ms: Option<i64>,
    /// What a person who is new here shall be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `admin` makes an admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The login it belongs to. Other issuers put their own things here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audience>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
}

/// One audience, or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the two spellings that RFC 7519 knows")]
pub enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// A token for `sub` that this system issues now.
    pub fn new(sub: impl Into<String>, lifetime_seconds: i64) -> Self {
        let now = now_ms();
        Self {
            sub: sub.into(),
            exp: now / 1000 + lifetime_seconds,
            iat: Some(now / 1000),
            iat_ms: Some(now),
            name: None,
            role: None,
            sid: None,
            aud: Some(Audience::One(AUDIENCE.to_owned())),
            typ: Some(ACCESS.to_owned()),
        }
    }

    /// The login that it belongs to, if it was issued at a sign-in here.
    pub fn login(&self) -> Option<LoginId> {
        self.sid.as_deref()?.parse().ok()
    }

    /// When it was issued, Unix milliseconds.
    pub fn issued_at(&self) -> Option<i64> {
        self.iat_ms
            .or_else(|| self.iat.map(|seconds| seconds.saturating_mul(1000)))
    }

    /// Until when it holds, Unix milliseconds.
    pub fn expires_at(&self) -> i64 {
        self.exp.saturating_mul(1000)
    }

    /// Are `aud`, `typ` and `sub` what they have to be?
    pub fn fits(&self) -> bool {
        let for_us = match &self.aud {
            None => true,
            Some(Audience::One(audience)) => audience == AUDIENCE,
            Some(Audience::Many(audiences)) => audiences.iter().eq([AUDIENCE]),
        };
        for_us
            && self.typ.as_deref().is_none_or(|typ| typ == ACCESS)
            && (1..=MAX_SUB_BYTES).contains(&self.sub.len())
            && !self.sub.contains('\0')
    }
}

/// Signs and checks tokens with one key.
pub struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
}

impl Tokens {
    /// HS256 with this key, and nothing else.
    pub fn new(secret: &Secret) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self {
            signing: EncodingKey::from_secret(secret.expose()),
            checking: DecodingKey::from_secret(secret.expose()),
            validation,
        }
    }

    /// The token that says this.
    pub fn issue(&self, claims: &Claims) -> Result<String> {
        encode(&Header::new(Algorithm::HS256), claims, &self.signing).map_err(|cause| {
            log::error!("a token could not be signed: {cause}");
            Error::internal()
        })
    }

    /// What a token says, if it is genuine and holds now.
    pub fn read(&self, token: &str) -> Result<Claims> {
        if token.len() > MAX_BYTES {
            return Err(invalid());
        }
        let data =
            decode::<Claims>(token, &self.checking, &self.validation).map_err(
                |cause| match cause.kind() {
                    ErrorKind::ExpiredSignature => expired(),
                    _ => invalid(),
                },
            )?;
        let typed = |typ: &String| {
            HEADER_TYPES
                .iter()
                .any(|known| typ.eq_ignore_ascii_case(known))
        };
        // RFC 7515, 4.1.11: extensions that have to be understood, and none is.
        let is_plain = data.header.crit.is_none();
        if !is_plain || !data.header.typ.as_ref().is_none_or(typed) || !data.claims.fits() {
            return Err(invalid());
        }
        // A later sign-out everywhere ends what was issued before it: the time has to be true.
        let latest = now_ms() + MAX_AHEAD_MS;
        if data.claims.issued_at().is_some_and(|at| at > latest) {
            return Err(invalid());
        }
        // The library lets a token live through the last second; RFC 7519 does not.
        if data.claims.expires_at() <= now_ms() {
            return Err(expired());
        }
        Ok(data.claims)
    }
}

fn invalid() -> Error {
    Error::new(
        ErrorCode::TokenInvalid,
        "the token is not one that this node can accept; sign in again",
    )
}

fn expired() -> Error {
    Error::new(
        ErrorCode::TokenExpired,
        "the token has run out; get a new one",
    )
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(HS256)")
    }
}

/// Is it refused because everything issued up to `revoked_before` is?
///
/// A token whose issuer counts in seconds may be from any moment of its second: one of
/// the same second is refused. One that does not say when it was issued is, too.
pub(super) fn is_revoked(issued_at: Option<i64>, revoked_before: i64) -> bool {
    revoked_before > 0 && issued_at.is_none_or(|issued_at| issued_at <= revoked_before)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "an example key of more than 32 bytes";

    fn tokens() -> Tokens {
        Tokens::new(&Secret::parse(KEY).unwrap())
    }

    fn now() -> i64 {
        now_ms() / 1000
    }

    fn signed(header: &Header, claims: &Value, key: &str) -> String {
        encode(header, claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
    }

    /// What becomes of a token with these claims and a good signature.
    fn outcome(claims: Value) -> Result<Claims, ErrorCode> {
        let token = signed(&Header::default(), &claims, KEY);
        tokens().read(&token).map_err(|error| error.code)
    }

    #[test]
    fn what_is_issued_is_accepted() {
        let claims = Claims::new("ann", 60);
        let token = tokens().issue(&claims).unwrap();
        assert_eq!(tokens().read(&token).unwrap(), claims);
    }

    #[test]
    fn the_least_that_another_service_has_to_say_is_accepted() {
        let claims = outcome(json!({"sub": "ann", "exp": now() + 60})).unwrap();
        assert_eq!(claims.issued_at(), None);
        for audience in [json!("madang"), json!(["madang"])] {
            let claims = json!({"sub": "ann", "exp": now() + 60, "aud": audience});
            assert!(outcome(claims).is_ok());
        }
    }

    #[test]
    fn wrong_claims_are_refused() {
        let soon = now() + 60;
        for claims in [
            json!({"sub": "ann"}),
            json!({"exp": soon}),
            json!({"sub": "", "exp": soon}),
            json!({"sub": "a\u{0}b", "exp": soon}),
            json!({"sub": "a".repeat(256), "exp": soon}),
            json!({"sub": 7, "exp": soon}),
            json!({"sub": "ann", "exp": soon.to_string()}),
            json!({"sub": "ann", "exp": soon as f64 + 0.5}),
            json!({"sub": "ann", "exp": -1}),
            json!({"sub": "ann", "exp": null}),
            json!({"sub": "ann", "exp": soon, "nbf": soon}),
            json!({"sub": "ann", "exp": soon, "nbf": "now"}),
            json!({"sub": "ann", "exp": soon, "iat": "now"}),
            json!({"sub": "ann", "exp": soon + 9000, "iat": now() + 3600}),
            json!({"sub": "ann", "exp": soon, "aud": "other"}),
            json!({"sub": "ann", "exp": soon, "aud": ["madang", "other"]}),
            json!({"sub": "ann", "exp": soon, "aud": 7}),
            json!({"sub": "ann", "exp": soon, "typ": "refresh"}),
        ] {
            let outcome = outcome(claims.clone());
            assert_eq!(outcome, Err(ErrorCode::TokenInvalid), "{claims}");
        }
    }

    #[test]
    fn there_is_no_grace_after_the_end() {
        for exp in [0, now() - 1, now()] {
            let outcome = outcome(json!({"sub": "ann", "exp": exp}));
            assert_eq!(outcome, Err(ErrorCode::TokenExpired), "{exp}");
        }
    }

    #[test]
    fn wrong_headers_keys_and_shapes_are_refused() {
        let claims = json!({"sub": "ann", "exp": now() + 60});
        let good = signed(&Header::default(), &claims, KEY);
        let (message, signature) = good.rsplit_once('.').unwrap();
        let payload = message.split_once('.').unwrap().1;
        // {"alg":"none","typ":"JWT"}
        let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.");
        let odd_type = Header {
            typ: Some("refresh+jwt".into()),
            ..Header::default()
        };
        let critical = Header {
            crit: Some(vec!["something".into()]),
            ..Header::default()
        };
        for token in [
            String::new(),
            "a.b.c".into(),
            signed(&critical, &claims, KEY),
            none,
            format!("{message}."),
            message.to_owned(),
            format!("{message}.A{signature}"),
            signed(&Header::new(Algorithm::HS384), &claims, KEY),
            signed(&Header::new(Algorithm::HS512), &claims, KEY),
            signed(
                &Header::default(),
                &claims,
                "another key of more than 32 bytes",
            ),
            signed(&odd_type, &claims, KEY),
            format!("{good}{}", "=".repeat(MAX_BYTES)),
        ] {
            let code = tokens().read(&token).map_err(|error| error.code);
            assert_eq!(code, Err(ErrorCode::TokenInvalid), "{token}");
        }
    }

    #[test]
    fn a_key_id_changes_nothing() {
        let header = Header {
            kid: Some("../../dev/null".into()),
            ..Header::default()
        };
        let claims = json!({"sub": "ann", "exp": now() + 60});
        assert!(tokens().read(&signed(&header, &claims, KEY)).is_ok());
    }

    #[test]
    fn a_sign_out_everywhere_refuses_what_was_issued_up_to_it() {
        let token = |iat, iat_ms| Claims {
            iat,
            iat_ms,
            ..Claims::new("ann", 60)
        };
        let at = 1_700_000_000_500;
        assert!(is_revoked(token(Some(1_700_000_000), None).issued_at(), at));
        assert!(!is_revoked(
            token(Some(1_700_000_001), None).issued_at(),
            at
        ));
        assert!(is_revoked(
            token(Some(1_700_000_000), Some(at)).issued_at(),
            at
        ));
        assert!(!is_revoked(
            token(Some(1_700_000_000), Some(at + 1)).issued_at(),
            at
        ));
        assert!(is_revoked(token(None, None).issued_at(), at));
        assert!(!is_revoked(token(None, None).issued_at(), 0));
    }
}
