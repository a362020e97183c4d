//! Which names objects have. Every target asks here before it makes a path or an address of one.

use super::TargetError;

/// Characters of the longest name.
pub(super) const MAX_NAME: usize = 200;

/// An error unless this is the name of an object: parts of `a-z` and `0-9`, joined by `/`.
pub(super) fn check(name: &str) -> Result<(), TargetError> {
    if is_name(name) { Ok(()) } else { Err(bad(name)) }
}

pub(super) fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME && name.split('/').all(|part| !part.is_empty() && is_part(part))
}

/// Whether a part of a name may look so; an empty one may, at the end of what a name begins with.
pub(super) fn is_part(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// What names begin with, in two: whole parts, and what the part behind them begins with.
pub(super) fn split_prefix(prefix: &str) -> Result<(&str, &str), TargetError> {
    let (folder, begin) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let has_folder = folder.len() < prefix.len() && prefix.contains('/');
    let is_good = prefix.len() <= MAX_NAME && is_part(begin) && (!has_folder || is_name(folder));
    if is_good { Ok((folder, begin)) } else { Err(bad(prefix)) }
}

fn bad(name: &str) -> TargetError {
    let told: String = name.chars().take(MAX_NAME).map(|c| if c.is_control() { '?' } else { c }).collect();
    TargetError::BadName { name: told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_folder_or_hide_in_it_are_none() {
        for good in ["manifests/0000000012", "objects/00ff", "a", "a/b/c", "0"] {
            check(good).unwrap();
        }
        let long = "a".repeat(MAX_NAME + 1);
        check(&long[1..]).unwrap();
        for bad in [
            "", "/", "a/", "/a", "a//b", "..", "a/../b", ".new/1", "A", "a b", "a\\b", "c:", "ä", "a\0", "a\n", "a-b",
            &long,
        ] {
            assert!(matches!(check(bad), Err(TargetError::BadName { .. })), "{bad:?}");
        }
    }

    #[test]
    fn prefixes_are_taken_apart() {
        assert_eq!(split_prefix("").unwrap(), ("", ""));
        assert_eq!(split_prefix("ob").unwrap(), ("", "ob"));
        assert_eq!(split_prefix("objects/").unwrap(), ("objects", ""));
        assert_eq!(split_prefix("a/b/c0").unwrap(), ("a/b", "c0"));
        for bad in ["/", "/a", "a//", "a//b", "../", "a/..", ".", &"a".repeat(MAX_NAME + 1)] {
            assert!(matches!(split_prefix(bad), Err(TargetError::BadName { .. })), "{bad:?}");
        }
    }
}
