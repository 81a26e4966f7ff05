//! Who somebody is: tokens, passwords, and the accounts that they stand for.
//!
//! Tokens are checked without asking anybody; hashing is bounded.

mod passwords;
mod tokens;

pub use passwords::Passwords;
pub use tokens::{Audience, Claims, Tokens};
