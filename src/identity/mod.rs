//! Who somebody is: tokens, passwords, and the accounts that they stand for.
//!
//! [`Identities::verify`] is the one place where a token becomes a person. It is local: a
//! signature and a look into bounded caches; the database is asked once per account and
//! login, and again after something about them has changed.

mod accounts;
mod identities;
mod names;
mod passwords;
mod sign_in;
#[cfg(test)]
mod tests;
mod tokens;

pub use accounts::PasswordChange;
pub use identities::{Identities, Identity};
pub use names::check_name;
pub use passwords::Passwords;
pub use sign_in::{Pass, Refreshed};
pub use tokens::{Audience, Claims, Tokens};
