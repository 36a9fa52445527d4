//! The name that somebody probably meant.

/// A known key is suggested when at most one letter in so many is wrong.
const LETTERS_PER_ERROR: usize = 3;
/// Longer texts are no misspelt name, and comparing takes time by the product of both lengths.
const NAME_BYTES_MAX: usize = 64;

/// The known name that takes the fewest changes of letters, if they are few.
#[must_use]
pub fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let measured = known.map(|known| (strsim::osa_distance(name, known), known));
    let (errors, nearest) = measured.min_by_key(|(errors, _)| *errors)?;
    (errors <= (name.len() / LETTERS_PER_ERROR).max(1)).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognised_and_a_strange_one_is_not() {
        let known = || ["getblock", "getblockcount", "help"].into_iter();
        assert_eq!(suggestion("getblokcount", known()), Some("getblockcount"));
        assert_eq!(suggestion("getblock", known()), Some("getblock"));
        assert_eq!(suggestion("nonsense", known()), None);
        assert_eq!(suggestion(&"getblock".repeat(1_000), known()), None);
    }
}
