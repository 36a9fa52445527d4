//! Finds ports for a devnet that was told none.
//!
//! # Place
//! Below those that operating systems give to outgoing connections, so that none of these takes one meanwhile.

use std::net::{Ipv4Addr, TcpListener};

use super::error::DevnetError;

/// Where is looked: above the usual devnet's, below Linux' outgoing connections.
const FROM: u16 = 25_000;
const TO: u16 = 32_000;

/// The first of enough free ports in a row: two for each validator. Where is begun is random, so that programs that start
/// at the same time look in different places.
pub(super) fn free(validators: usize) -> Result<u16, DevnetError> {
    let needed = validators.saturating_mul(2);
    let none = || DevnetError::NoPorts { needed, from: FROM, to: TO };
    let length = u16::try_from(needed).map_err(|_| none())?;
    let places = TO.checked_sub(FROM).and_then(|span| span.checked_sub(length)).ok_or_else(none)?;
    let begin = rand::random_range(0..=places);
    let mut offset = 0;
    while offset <= places {
        let place = begin.saturating_add(offset).checked_rem(places.saturating_add(1)).unwrap_or(0);
        let base = FROM.saturating_add(place);
        match first_taken(base, length) {
            None => return Ok(base),
            Some(taken) => offset = offset.saturating_add(taken).saturating_add(1),
        }
    }
    Err(none())
}

/// How far behind the first port the first one is that is not free.
fn first_taken(base: u16, length: u16) -> Option<u16> {
    // Held together, so that no port is counted as free that the search itself would have given away.
    let mut held = Vec::with_capacity(usize::from(length));
    for offset in 0..length {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, base.saturating_add(offset))) {
            Ok(listener) => held.push(listener),
            Err(_) => return Some(offset),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_somebody_has_are_passed_over() {
        let base = free(4).unwrap();
        assert!((FROM..TO).contains(&base));
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, base + 3)).unwrap();
        assert_eq!(first_taken(base, 8), Some(3));
        assert!(matches!(free(4_000), Err(DevnetError::NoPorts { .. })));
    }
}
