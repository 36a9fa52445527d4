//! Proofs over many epochs, in which the set never changes, changes by a hundredth, or by a tenth in each.

use super::synthetic::Synthetic;
use super::*;
use crate::runtime::Clock;

/// By how much a set of so many changes, in words, and how many come in how many epochs.
fn rates(validators: u64) -> [(&'static str, (u64, u64)); 3] {
    [("never", (0, 1)), ("a hundredth", (validators, 100)), ("a tenth", (validators, 10))]
}

fn chain(validators: usize, rate: (u64, u64)) -> Synthetic {
    Synthetic::new(&vec![1; validators], rate)
}

#[test]
fn a_set_that_never_changes_takes_one_link_and_few_reads_over_any_number_of_epochs() {
    let chain = chain(4, (0, 1));
    for epoch in [1, 2, 1_000, 100_000] {
        let (ends, sets) = (chain.ends_read.get(), chain.sets_read.get());
        let path = chain.path(&[], epoch).unwrap();
        assert_eq!(path.ends, [epoch - 1]);
        assert_eq!((chain.ends_read.get() - ends, chain.sets_read.get() - sets), (1, 1), "{epoch}");
        assert_eq!(verify(&chain.document, &chain.voted(epoch, path.links)).unwrap().epoch, epoch);
    }
}

#[test]
fn each_link_goes_as_far_as_a_quorum_of_the_trusted_set_is_still_there() {
    // One of ten comes in each epoch. A quorum is seven, and so many of the trusted ones are there three epochs later.
    let chain = chain(10, (1, 1));
    let path = chain.path(&[], 13).unwrap();
    assert_eq!(path.ends, [3, 7, 11, 12]);
    let proof = chain.included(13, path.links);
    assert_eq!(verify(&chain.document, &proof).unwrap().epoch, 13);
    // What an earlier way took is taken again: one end is read for each link.
    let (before, known) = (chain.ends_read.get(), [3, 7, 11]);
    assert_eq!(chain.path(&known, 13).unwrap().ends, [3, 7, 11, 12]);
    assert_eq!(chain.ends_read.get() - before, 4);
    // It helps on the way to an earlier epoch too.
    assert_eq!(chain.path(&known, 9).unwrap().ends, [3, 7, 8]);
    assert_eq!(chain.path(&known, 3).unwrap().ends, [2]);
    assert_eq!(chain.path(&known, 0).unwrap().ends, [0; 0]);
}

#[test]
fn the_reads_grow_with_what_changed_and_not_with_the_epochs() {
    // Of four one comes in 1,000 epochs: a hundred came.
    let chain = chain(4, (1, 1_000));
    let path = chain.path(&[], 100_000).unwrap();
    let reads = chain.ends_read.get() + chain.sets_read.get();
    assert_eq!(path.links.len(), 50);
    assert!(reads < 10_000, "{reads} reads");
    assert_eq!(verify(&chain.document, &chain.voted(100_000, path.links)).unwrap().epoch, 100_000);
}

#[test]
fn a_link_that_a_longer_one_makes_spare_is_taken_out() {
    let chain = chain(10, (1, 1));
    let path = chain.path(&[0, 1, 2, 3], 8).unwrap();
    assert_eq!(path.ends, [3, 7]);
    assert_eq!(verify(&chain.document, &chain.voted(8, path.links)).unwrap().epoch, 8);
}

#[test]
fn more_than_a_proof_may_have_is_not_collected() {
    let chain = chain(4, (1, 1));
    let all = path(&chain, &[], [0, 40], FINALITY_PROOF_BYTES_MAX).unwrap().unwrap();
    let bytes: usize = all.links.iter().map(|link| encode(link).len()).sum();
    assert_eq!(path(&chain, &[], [0, 40], bytes).unwrap(), Ok(all));
    let TooLong { ends } = path(&chain, &[], [0, 40], bytes - 1).unwrap().unwrap_err();
    let whole = path(&chain, &[], [0, 40], bytes).unwrap().unwrap().ends;
    assert!(
        !ends.is_empty() && whole.starts_with(&ends),
        "what fits is known from then on: {ends:?} of {whole:?}"
    );
}

/// INV-PROOF-1.
#[test]
fn no_byte_of_a_proof_that_passes_over_epochs_can_be_changed_left_out_or_added() {
    let chain = chain(4, (1, 2));
    let links = chain.path(&[], 7).unwrap().links;
    assert!(links.iter().any(|link| link.set.is_some()), "epochs with other sets are passed over");
    every_byte_counts(&chain.voted(7, links).to_bytes(), |bytes| {
        FinalityProof::from_bytes(bytes).is_ok_and(|proof| verify(&chain.document, &proof).is_ok())
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_hold_at_each_rate_and_altered_ones_do_not(
        validators in 3_usize..14,
        rate in 0_usize..3,
        epoch in 0_u64..60,
        known in proptest::collection::btree_set(0_u64..60, 0..4),
        at in any::<proptest::sample::Index>(),
        change in 1_u8..=255,
    ) {
        let chain = chain(validators, rates(u64::try_from(validators).unwrap())[rate].1);
        let known: Vec<Epoch> = known.into_iter().collect();
        let path = chain.path(&known, epoch).unwrap();
        prop_assert_eq!(path.links.len(), path.ends.len());
        prop_assert_eq!(path.ends.last().copied(), epoch.checked_sub(1));
        prop_assert_eq!(&path.set, &chain.set_of(epoch));
        for proof in [chain.voted(epoch, path.links.clone()), chain.included(epoch, path.links.clone())] {
            let proved = verify(&chain.document, &proof).unwrap();
            prop_assert_eq!((proved.epoch, proof.epoch()), (epoch, epoch));
            let mut bytes = proof.to_bytes();
            prop_assert_eq!(FinalityProof::from_bytes(&bytes), Ok(proof.clone()));
            let place = at.index(bytes.len());
            bytes[place] ^= change;
            let read = FinalityProof::from_bytes(&bytes);
            prop_assert!(read.is_err() || verify(&chain.document, &read.unwrap()).is_err(), "byte {}", place);
            for left_out in 0..path.links.len() {
                let mut fewer = proof.clone();
                fewer.links.remove(left_out);
                prop_assert!(verify(&chain.document, &fewer).is_err(), "link {}", left_out);
            }
        }
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// The columns of the documented table that don't depend on a machine.
fn row(validators: usize, rate: &str, epoch: Epoch, proof: Option<&FinalityProof>) -> String {
    let size = proof.map_or_else(
        || "too large | -".to_owned(),
        |proof| format!("{} | {}", size(proof), thousands(u64::try_from(proof.links.len()).unwrap())),
    );
    format!("| {validators} | {rate} | {} | {size} |", thousands(epoch))
}

fn size(proof: &FinalityProof) -> String {
    thousands(u64::try_from(proof.to_bytes().len()).unwrap())
}

/// The epoch of a payment that is proved from a later block. A tenth in each, and all members have changed by then.
const PAST: Epoch = 10;

/// A row of the second table: a proof for a payment of an epoch that ended so many epochs before that of the trusted block,
/// by a block and by votes. The second value is how many milliseconds it took to make the proof, and to verify either.
fn row_from_later(chain: &Synthetic, rate: &str, epochs: Epoch) -> (String, String) {
    let (trusted, first) = (anchors::above(chain, PAST + epochs), chain.first_set());
    let started = Clock.instant();
    let anchor = anchors::past(chain, &trusted, PAST);
    let made_ms = started.elapsed().as_millis();
    let proofs = [chain.included(PAST, Vec::new()), chain.voted(PAST, Vec::new())];
    let proofs = proofs.map(|proof| proof.anchored(anchor.clone()));
    let took = proofs.each_ref().map(|proof| {
        let started = Clock.instant();
        assert_eq!(chain.check(&trusted.0, proof).unwrap().epoch, PAST);
        started.elapsed().as_millis()
    });
    let [by_block, by_votes] = proofs.each_ref().map(size);
    let row = format!("| {} | {rate} | {} | {by_block} | {by_votes} |", first.len(), thousands(epochs));
    (row, format!("{made_ms} | {} | {} |", took[0], took[1]))
}

const DOCUMENTATION: &str = include_str!("../../finality_proof.rs");

#[test]
fn the_documented_sizes_are_those_of_real_proofs() {
    let mut wrong = Vec::new();
    for validators in [4_usize, 100] {
        for (name, rate) in rates(u64::try_from(validators).unwrap()) {
            let chain = chain(validators, rate);
            for epoch in [1, 10] {
                let links = chain.path(&[], epoch).unwrap().links;
                let (included, voted) = (chain.included(epoch, links.clone()), chain.voted(epoch, links));
                assert!([&included, &voted].iter().all(|proof| verify(&chain.document, proof).is_ok()));
                let row = format!("{} {} |", row(validators, name, epoch, Some(&included)), size(&voted));
                wrong.extend((!DOCUMENTATION.contains(&row)).then_some(row));
            }
            let (row, _) = row_from_later(&chain, name, 10);
            wrong.extend((!DOCUMENTATION.contains(&row)).then_some(row));
        }
    }
    assert!(wrong.is_empty(), "the documentation has to say\n{}", wrong.join("\n"));
}

/// Writes the first table of the documentation, and holds its sizes; it takes minutes:
/// `cargo test --lib finality_proof::tests::long_ways::the_table_of_links -- --ignored --nocapture`.
#[test]
#[ignore = "it takes minutes, and measures the machine as well"]
fn the_table_of_links() {
    let mut wrong = Vec::new();
    for validators in [4_usize, 100] {
        for (name, rate) in rates(u64::try_from(validators).unwrap()) {
            let chain = chain(validators, rate);
            for epoch in [1, 10, 1_000, 100_000] {
                // The first search makes the chain; the second one does what a node does that has it in memory.
                let first = chain.path(&[], epoch);
                let started = Clock.instant();
                let again = chain.path(&[], epoch);
                let make_ms = started.elapsed().as_millis();
                assert_eq!(again, first);
                let links = first.map(|path| path.links);
                let included = links.clone().map(|links| chain.included(epoch, links));
                let voted = links.map(|links| chain.voted(epoch, links));
                let took = [&included, &voted].map(|proof| {
                    let started = Clock.instant();
                    assert!(proof.iter().all(|proof| verify(&chain.document, proof).is_ok()));
                    proof
                        .as_ref()
                        .map_or_else(|| "-".to_owned(), |_| started.elapsed().as_millis().to_string())
                });
                let by_votes = voted.as_ref().map_or_else(|| "-".to_owned(), size);
                let row = format!("{} {by_votes} |", row(validators, name, epoch, included.as_ref()));
                println!("//! {row} {make_ms} | {} | {} |", took[0], took[1]);
                wrong.extend((!DOCUMENTATION.contains(&row)).then_some(row));
            }
        }
    }
    assert!(wrong.is_empty(), "the documentation has to say\n{}", wrong.join("\n"));
}

/// Writes the second table, likewise.
#[test]
#[ignore = "it takes minutes, and measures the machine as well"]
fn the_table_from_later_blocks() {
    let mut wrong = Vec::new();
    for validators in [4_usize, 100] {
        for (name, rate) in rates(u64::try_from(validators).unwrap()) {
            let chain = chain(validators, rate);
            for epochs in [1, 10, 1_000, 100_000] {
                let (row, times) = row_from_later(&chain, name, epochs);
                println!("//! {row} {times}");
                wrong.extend((!DOCUMENTATION.contains(&row)).then_some(row));
            }
        }
    }
    assert!(wrong.is_empty(), "the documentation has to say\n{}", wrong.join("\n"));
}
