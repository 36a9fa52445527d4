//! The parts that proofs are made of: quorums without anybody to spare, and sets told from others.

use super::*;

fn set_of(weights: &[u64], first: u8) -> ValidatorSet {
    let member = |(id, weight): (u8, &u64)| Validator {
        id: MasternodeId([id; 32]),
        key: operator(id).public(),
        weight: *weight,
    };
    ValidatorSet::new((first..).zip(weights).map(member).collect())
}

proptest! {
    #[test]
    fn trimming_keeps_the_fewest_and_none_to_spare(
        weights in proptest::collection::vec(1_u64..=100, 1..12),
        absent in proptest::collection::vec(any::<bool>(), 12),
    ) {
        let set = set_of(&weights, 0);
        let places: Vec<usize> = (0..weights.len()).filter(|place| !absent[*place]).collect();
        let weigh = |places: &[usize]| places.iter().map(|place| weights[*place]).sum::<u64>();
        // Every choice of those who are there.
        let fewest = (0..1_u32 << places.len())
            .map(|choice| {
                places.iter().enumerate().filter(|(i, _)| choice >> i & 1 == 1).map(|(_, p)| *p).collect()
            })
            .filter(|chosen: &Vec<usize>| weigh(chosen) >= set.quorum())
            .map(|chosen| chosen.len())
            .min();
        let quorums = Quorums::own(&set);
        let chosen = quorums.choose(places.iter().copied().rev());
        prop_assert_eq!(chosen.as_ref().map(Vec::len), fewest);
        if let Some(chosen) = chosen {
            prop_assert!(chosen.is_sorted() && weigh(&chosen) >= set.quorum());
            let lightest = chosen.iter().map(|place| weights[*place]).min().unwrap();
            prop_assert!(weigh(&chosen) - lightest < set.quorum());
            prop_assert_eq!(quorums.spare(&chosen), None);
        }
    }

    #[test]
    fn trimming_for_two_sets_reaches_both_with_none_to_spare(
        weights in proptest::collection::vec(1_u64..=100, 1..12),
        before in proptest::collection::vec(1_u64..=100, 1..12),
        gone in 0_u8..6,
        absent in proptest::collection::vec(any::<bool>(), 12),
    ) {
        // The trusted set has `gone` members that left, and the others by other weights.
        let (set, trusted) = (set_of(&weights, gone), set_of(&before, 0));
        let places: Vec<usize> = (0..weights.len()).filter(|place| !absent[*place]).collect();
        let own = |places: &[usize]| places.iter().map(|place| weights[*place]).sum::<u64>();
        let known = |places: &[usize]| {
            places.iter().filter_map(|place| before.get(place + usize::from(gone))).sum::<u64>()
        };
        let is_enough = |places: &[usize]| own(places) >= set.quorum() && known(places) >= trusted.quorum();
        let quorums = Quorums { set: &set, trusted: Some(&trusted) };
        let chosen = quorums.choose(places.iter().copied());
        prop_assert_eq!(chosen.is_some(), is_enough(&places));
        if let Some(chosen) = chosen {
            prop_assert!(chosen.is_sorted() && is_enough(&chosen));
            for spare in 0..chosen.len() {
                let mut fewer = chosen.clone();
                fewer.remove(spare);
                prop_assert!(!is_enough(&fewer), "{} of {:?} is spare", spare, chosen);
            }
            prop_assert_eq!(quorums.spare(&chosen), None);
        }
        let first = places.iter().copied().find(|place| {
            is_enough(&places.iter().copied().filter(|other| other != place).collect::<Vec<_>>())
        });
        prop_assert_eq!(quorums.spare(&places), first);
    }

    #[test]
    fn a_set_is_told_from_any_other_in_one_form(
        one in proptest::collection::vec((0_u8..12, 1_u64..3), 0..9),
        other in proptest::collection::vec((0_u8..12, 1_u64..3), 0..9),
        bits in any::<u16>(),
        place in 0_u8..12,
    ) {
        let set = |members: &[(u8, u64)]| {
            let member = |(id, weight): &(u8, u64)| {
                Validator { id: MasternodeId([*id; 32]), key: operator(*id).public(), weight: *weight }
            };
            ValidatorSet::new(members.iter().map(member).collect())
        };
        let (one, other) = (set(&one), set(&other));
        let told = GivenSet::of(&one, &other).unwrap();
        prop_assert_eq!(told.apply(&other), Some(one.clone()));
        prop_assert_eq!(told.len(), one.len());
        // Whatever else is read as a set is told so by that set too.
        let mut changed = told.clone();
        (0..9).filter(|bit| bits >> bit & 1 == 1).for_each(|bit| changed.kept.set(bit));
        if let Some((first, _)) = changed.added.first_mut() {
            *first = place;
        }
        if let Some(read) = changed.apply(&other) {
            prop_assert_eq!(GivenSet::of(&read, &other), Some(changed));
        }
    }
}
