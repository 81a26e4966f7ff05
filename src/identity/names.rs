//! What people may be called, and what they may sign in with.

use crate::error::{Error, Result};

/// Longest name of a person, bytes.
const MAX_NAME_BYTES: usize = 256;
/// Longest name to sign in with, characters.
const MAX_USERNAME_CHARS: usize = 64;
/// Shortest password, characters (NIST SP 800-63B, 5.1.1.1).
const MIN_PASSWORD_CHARS: usize = 8;
/// Longest password, bytes.
pub(super) const MAX_PASSWORD_BYTES: usize = 1024;

/// A name that can be stored and shown, without space around it.
pub fn check_name(name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(Error::bad_field(format!(
            "name has 1 to {MAX_NAME_BYTES} bytes and no control characters"
        )));
    }
    Ok(name.to_owned())
}

/// The beginning of a name that somebody else vouches for, as far as it can be shown.
pub(super) fn displayable(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let name = name.trim();
    let (shown, _) = name.split_at(name.floor_char_boundary(MAX_NAME_BYTES));
    shown.trim_end().to_owned()
}

/// A name to sign in with: letters and digits of any script, and a few signs.
pub(super) fn check_username(username: &str) -> Result<()> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@');
    if is_username_sized(username) && username.chars().all(plain) {
        return Ok(());
    }
    Err(Error::bad_field(format!(
        "username has 1 to {MAX_USERNAME_CHARS} characters: letters (without combining marks), digits and . _ - + @"
    )))
}

/// Can it be a username at all?
pub(super) fn is_username_sized(username: &str) -> bool {
    (1..=MAX_USERNAME_CHARS).contains(&username.chars().count())
}

/// A password that is worth hashing.
pub(super) fn check_password(password: &str) -> Result<()> {
    let long_enough = password.chars().count() >= MIN_PASSWORD_CHARS;
    if long_enough && password.len() <= MAX_PASSWORD_BYTES {
        return Ok(());
    }
    Err(Error::bad_field(format!(
        "password has at least {MIN_PASSWORD_CHARS} characters and at most {MAX_PASSWORD_BYTES} bytes"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_script_are_kept_as_they_are() {
        for name in ["Ann", "김철수", "👩‍👩‍👧", "علي"] {
            assert_eq!(check_name(name).as_deref(), Ok(name));
        }
        assert_eq!(check_name("  Ann ").as_deref(), Ok("Ann"));
        for wrong in ["", "  ", "a\0b", "a\nb", &"é".repeat(129)] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_from_elsewhere_is_cut_to_what_can_be_shown() {
        assert_eq!(displayable(" a\0\nb "), "ab");
        assert_eq!(displayable(&"한".repeat(100)), "한".repeat(85));
    }

    #[test]
    fn usernames_and_passwords_have_limits() {
        for good in ["ann", "Ann-Lee_2", "철수", "ann@example.org"] {
            assert!(check_username(good).is_ok(), "{good}");
        }
        for wrong in ["", "a b", "a/b", "<b>", &"a".repeat(65)] {
            assert!(check_username(wrong).is_err(), "{wrong}");
        }
        assert!(check_password("eight888").is_ok() && check_password("비밀번호여덟글자").is_ok());
        assert!(check_password("seven77").is_err() && check_password(&"a".repeat(1025)).is_err());
    }
}
