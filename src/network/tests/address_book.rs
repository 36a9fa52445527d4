//! The book: what is pinned, what is dialled when, who is told what.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::network::now;
use crate::types::PublicKey;

const BACKOFF: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) };
const PEER: PublicKey = PublicKey([1; 32]);
const OTHER: PublicKey = PublicKey([2; 32]);
const DAY_MS: TimeMs = 86_400_000;
const NOW_MS: TimeMs = 20_000 * DAY_MS;

fn random() -> StdRng {
    StdRng::seed_from_u64(5)
}

fn empty() -> Kept {
    Kept { secret: [7; 32], anchors: Vec::new(), entries: Vec::new() }
}

fn book_of(grouping: Grouping, hides: bool) -> AddressBook {
    AddressBook::new(Policy { grouping, hides, dials_masternodes: !hides }, BACKOFF, empty())
}

fn book() -> AddressBook {
    book_of(Grouping::Strict, false)
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn told(book: &mut AddressBook, address: &str, by: &str) {
    let teller = book.teller(by.parse().unwrap());
    book.learn(at(address), (teller, None), NOW_MS, &mut random());
}

fn nobody(_: SocketAddr, _: Option<PeerId>) -> bool {
    false
}

fn take_learned(book: &mut AddressBook, now_ms: TimeMs) -> Option<Attempt> {
    book.take_learned(&HashSet::new(), now_ms, &mut random(), nobody)
}

fn answers(book: &mut AddressBook, attempt: &Attempt, who: PublicKey) {
    let socket = attempt.address.parse().ok();
    book.answered(attempt, (who, false, socket), (now(), NOW_MS), &mut random());
}

fn pinned(address: &str) -> Attempt {
    let (purpose, address) = (Purpose::Pinned, address.to_owned());
    Attempt { address, expected: None, purpose, may_be_local: true }
}

fn tellable(book: &AddressBook, connected: bool) -> Vec<PeerAddress> {
    book.tellable(99, NOW_MS, &mut random(), |_, _| true, |_| connected)
}

#[test]
fn failures_wait_longer_up_to_the_limit() {
    let start = now();
    let mut book = book();
    assert!(book.pin("boot.example:1", None, start));
    let mut at = start;
    for failures in 1..=20_u32 {
        let [attempt] = book.take_due((9, 0), at, |_| false).try_into().unwrap();
        assert!(book.take_due((9, 0), at, |_| false).is_empty(), "it is being dialled");
        book.failed(&attempt, false, at);
        let full = Duration::from_secs(1_u64 << (failures - 1).min(10)).min(BACKOFF.max);
        let wait = book.pinned["boot.example:1"].due_at - at;
        assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?}");
        at += wait;
    }
}

/// INV-NET-15: whoever told it first.
#[test]
fn what_the_chain_names_is_tried_for_ever_though_a_peer_told_it_before() {
    let mut at = now();
    let mut book = book();
    told(&mut book, "192.0.2.1:1", "198.51.100.1");
    assert!(book.set_chain(&["192.0.2.1:1".to_owned()], at).is_empty());
    for _ in 0..20 {
        let [attempt] = book.take_due((9, 0), at, |_| false).try_into().unwrap();
        assert_eq!((attempt.address.as_str(), attempt.purpose), ("192.0.2.1:1", Purpose::Pinned));
        assert_eq!(take_learned(&mut book, NOW_MS), None, "once is enough");
        book.failed(&attempt, true, at);
        at += BACKOFF.max;
    }
}

#[test]
fn what_the_configuration_names_is_dialled_before_what_the_chain_names() {
    let start = now();
    let mut book = book();
    let chain: Vec<String> = (0..9).map(|number| format!("192.0.2.{number}:1")).collect();
    assert!(book.set_chain(&chain, start).is_empty());
    let later = start + Duration::from_secs(1);
    assert!(book.pin("boot.example:1", None, later));
    let addresses = |due: Vec<Attempt>| due.into_iter().map(|it| it.address).collect::<Vec<_>>();
    assert_eq!(addresses(book.take_due((1, 0), later, |_| false)), ["boot.example:1"]);
    // Beside the places only whom the chain names is dialled.
    assert!(book.pin("another.example:1", None, later));
    assert_eq!(book.take_due((0, 0), later, |_| false), []);
    let beside = addresses(book.take_due((0, 4), later, |_| false));
    assert!(beside.len() == 4 && beside.iter().all(|address| chain.contains(address)), "{beside:?}");
    assert_eq!(addresses(book.take_due((1, 2), later, |_| false))[0], "another.example:1");
    assert_eq!(book.take_due((99, 0), later, |_| false).len(), 3);
}

/// Whoever registers a masternode writes what he likes into the chain.
#[test]
fn local_addresses_of_the_chain_are_dialled_only_where_they_can_be_meant() {
    let chain = |addresses: &[&str]| addresses.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let all = chain(&[
        "192.0.2.1:1",
        "127.0.0.1:22",
        "10.0.0.1:22",
        "169.254.169.254:80",
        "224.0.0.1:1",
        "192.0.2.2:0",
        "node.example:1",
    ]);
    let nowhere = ["169.254.169.254:80", "224.0.0.1:1", "192.0.2.2:0"];
    let mut strict = book();
    let refused = strict.set_chain(&all, now());
    assert_eq!(refused, ["127.0.0.1:22", "10.0.0.1:22", nowhere[0], nowhere[1], nowhere[2]]);
    assert_eq!(strict.take_due((9, 0), now(), |_| false).len(), 2);
    // The name may lead anywhere, which shows when it is looked up.
    let named = book().pinned_attempt_of_chain("node.example:1");
    assert!(!named.may_be_local);

    let mut listed = book();
    assert!(listed.pin("127.0.0.1:22", None, now()) && listed.pin("10.0.0.1:22", None, now()));
    assert_eq!(listed.set_chain(&all, now()), nowhere, "the configuration names them too");
    let mut own = book();
    own.note_own_place("10.9.9.9:1");
    assert_eq!(own.set_chain(&all, now()), ["127.0.0.1:22", nowhere[0], nowhere[1], nowhere[2]]);
    assert!(own.is_dialled(Reach::Private) && !own.is_dialled(Reach::Machine));
    let mut devnet = book_of(Grouping::ByPort, false);
    assert_eq!(devnet.set_chain(&all, now()), nowhere);
}

impl AddressBook {
    fn pinned_attempt_of_chain(mut self, address: &str) -> Attempt {
        assert!(self.set_chain(&[address.to_owned()], now()).is_empty());
        self.take_due((1, 0), now(), |_| false).remove(0)
    }
}

#[test]
fn an_address_that_has_left_the_chain_is_dialled_no_more() {
    let mut book = book();
    let addresses = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    book.pin("192.0.2.3:1", None, now());
    book.set_chain(&addresses(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"]), now());
    book.set_chain(&addresses(&["192.0.2.2:1"]), now());
    let mut due: Vec<String> =
        book.take_due((9, 0), now(), |_| false).into_iter().map(|it| it.address).collect();
    due.sort();
    assert_eq!(due, ["192.0.2.2:1", "192.0.2.3:1"], "the configuration's stays");
}

/// INV-NET-15.
#[test]
fn the_pinned_are_bounded() {
    let mut book = book();
    for number in 0..PINNED_MAX {
        assert!(book.pin(&format!("boot{number}:1"), None, now()));
    }
    assert!(!book.pin("one.more:1", None, now()) && book.pin("boot7:1", None, now()), "that is there");
    let more = vec!["192.0.2.1:1".to_owned()];
    assert_eq!(book.set_chain(&more, now()), more);
    assert_eq!(book.pinned.len(), PINNED_MAX);
}

/// INV-NET-16.
#[test]
fn connected_and_own_addresses_are_not_dialled_and_only_proved_ones_told() {
    let start = now();
    let mut book = book();
    for number in 1..=3 {
        book.pin(&format!("192.0.2.{number}:1"), None, start);
    }
    let due = book.take_due((9, 0), start, |_| false);
    let attempt = |number| {
        let address = format!("192.0.2.{number}:1");
        due.iter().find(|attempt| attempt.address == address).unwrap()
    };
    answers(&mut book, attempt(1), PEER);
    book.is_own(attempt(2));
    book.failed(attempt(3), true, start);
    let later = start + Duration::from_secs(100);
    assert_eq!(book.take_due((9, 0), later, |_| true).len(), 1, "nobody has answered at the third");
    told(&mut book, "192.0.2.4:1", "198.51.100.1");
    let expected = PeerAddress { address: "192.0.2.1:1".to_owned(), identity: Some(PEER) };
    assert_eq!(tellable(&book, true), [expected], "INV-NET-16: hearsay is not told, nor is an own address");
}

#[test]
fn a_peer_that_hides_is_told_to_nobody() {
    let mut book = book();
    let (sentrys, hearsay) = (pinned("10.0.0.1:1"), "192.0.2.1:1");
    book.note_own_place("10.0.0.2:1");
    book.pin("10.0.0.1:1", None, now());
    book.answered(&sentrys, (PEER, true, Some(at("10.0.0.1:1"))), (now(), NOW_MS), &mut random());
    told(&mut book, hearsay, "198.51.100.1");
    let attempt = take_learned(&mut book, NOW_MS).unwrap();
    book.answered(&attempt, (OTHER, true, None), (now(), NOW_MS), &mut random());
    assert_eq!((tellable(&book, true), book.counts()), (Vec::new(), (0, 0)));
    // Somebody else knows the address all the same, and tells it.
    told(&mut book, "10.0.0.1:1", "10.0.0.9");
    book.tables.answered(at("10.0.0.1:1"), PEER, NOW_MS);
    assert_eq!(tellable(&book, true), []);
}

/// INV-BOOK-1, INV-NET-16.
#[test]
fn a_node_that_hides_dials_the_peers_of_its_configuration_alone_and_tells_nothing() {
    let mut book = book_of(Grouping::Strict, true);
    book.pin("192.0.2.1:1", None, now());
    assert!(book.set_chain(&["192.0.2.2:1".to_owned()], now()).is_empty());
    told(&mut book, "192.0.2.3:1", "192.0.2.1");
    assert_eq!(book.take_due((9, 0), now(), |_| false), [pinned("192.0.2.1:1")], "INV-BOOK-1");
    assert_eq!(take_learned(&mut book, NOW_MS), None);
    assert_eq!(book.take_feeler(NOW_MS, &mut random(), nobody), None);
    answers(&mut book, &pinned("192.0.2.1:1"), PEER);
    assert_eq!(tellable(&book, true), []);
    book.pin("sentry.example:1", None, now());
    book.note_hosts("sentry.example:1", ["198.51.100.1".parse().unwrap()]);
    for (ip, is_listed) in [("192.0.2.1", true), ("198.51.100.1", true), ("192.0.2.2", false)] {
        assert_eq!(book.is_listed(ip.parse().unwrap()), is_listed, "{ip}");
    }
}

/// INV-BOOK-2: else a peer could keep this node from others by telling their addresses with its own identity.
#[test]
fn who_is_said_to_be_at_an_address_decides_nothing() {
    let mut book = book();
    let teller = book.teller("198.51.100.1".parse().unwrap());
    book.learn(at("192.0.2.1:1"), (teller, Some(PEER)), NOW_MS, &mut random());
    let is_barred = |_, identity: Option<PeerId>| identity == Some(PEER);
    let taken = HashSet::new();
    let attempt = book.take_learned(&taken, NOW_MS, &mut random(), is_barred).unwrap();
    assert_eq!(attempt.expected, None, "INV-BOOK-2");
    // Who answered there is another matter.
    answers(&mut book, &attempt, PEER);
    book.is_connected_already(&attempt);
    assert_eq!(book.take_learned(&taken, NOW_MS + DAY_MS, &mut random(), is_barred), None);
}

/// INV-DIAL-1.
#[test]
fn no_second_outbound_peer_of_a_group_is_taken() {
    let mut book = book();
    for number in 1..=50 {
        told(&mut book, &format!("203.0.113.{number}:1"), &format!("198.{number}.0.1"));
    }
    told(&mut book, "192.0.2.1:1", "198.51.100.1");
    let taken = HashSet::from([book.group(at("203.0.200.1:1"))]);
    for _ in 0..20 {
        let attempt = book.take_learned(&taken, NOW_MS, &mut random(), nobody);
        assert!(attempt.as_ref().is_none_or(|it| it.address == "192.0.2.1:1"), "INV-DIAL-1: {attempt:?}");
        if let Some(attempt) = attempt {
            book.is_connected_already(&attempt);
            book.tables.dialled(at("192.0.2.1:1"), 0);
        }
    }
}

#[test]
fn anchors_of_the_last_run_are_dialled_first() {
    let mut first = book();
    for number in 1..=60 {
        told(&mut first, &format!("203.{number}.113.1:1"), &format!("198.{number}.0.1"));
    }
    let links: Vec<Attempt> = (0..4).map(|_| take_learned(&mut first, NOW_MS).unwrap()).collect();
    // The third is connected longest, then the second; the others have no blocks.
    for (place, seconds) in [(1, 5), (2, 1)] {
        first.serves(links[place].address.parse().unwrap(), now() + Duration::from_secs(seconds));
    }
    let kept = first.kept();
    let expected: Vec<SocketAddr> = [2, 1].map(|place: usize| at(&links[place].address)).to_vec();
    assert_eq!(kept.anchors, expected);

    let policy = Policy { grouping: Grouping::Strict, hides: false, dials_masternodes: true };
    let mut second = AddressBook::new(policy, BACKOFF, kept.clone());
    let taken: Vec<SocketAddr> =
        (0..2).map(|_| at(&take_learned(&mut second, NOW_MS + DAY_MS).unwrap().address)).collect();
    assert_eq!(taken, expected);
    // Stopped before they answered, it has them still; once one failed, no more.
    assert_eq!(second.kept().anchors, expected);
    let failed = Attempt::to(expected[0], Purpose::Learned(expected[0]));
    second.failed(&failed, true, now());
    assert_eq!(second.kept().anchors, expected[1..]);
}

/// Else a night without a network would cost all that is known.
#[test]
fn a_node_that_reaches_nobody_holds_that_against_nobody() {
    for reaches_others in [true, false] {
        let mut book = book();
        told(&mut book, "192.0.2.1:1", "198.51.100.1");
        let mut now_ms = NOW_MS;
        for _ in 0..5 {
            // Chance may want it later.
            while take_learned(&mut book, now_ms)
                .inspect(|it| book.failed(it, reaches_others, now()))
                .is_none()
            {
                now_ms += DAY_MS / 8;
            }
            now_ms += DAY_MS / 8;
        }
        let failures = book.tables.get(at("192.0.2.1:1")).unwrap().failures;
        assert_eq!(failures, if reaches_others { 5 } else { 0 });
    }
}

#[test]
fn a_learned_address_is_not_dialled_again_at_once() {
    let mut book = book();
    told(&mut book, "192.0.2.1:1", "198.51.100.1");
    let attempt = take_learned(&mut book, NOW_MS).unwrap();
    assert_eq!(take_learned(&mut book, NOW_MS + DAY_MS), None, "it is being dialled");
    book.failed(&attempt, false, now());
    assert_eq!(take_learned(&mut book, NOW_MS + 9_999), None);
    assert!(take_learned(&mut book, NOW_MS + 10_000).is_some());
}

#[test]
fn connections_that_do_not_hold_count_as_failures() {
    let mut book = book();
    told(&mut book, "192.0.2.1:1", "198.51.100.1");
    let attempt = take_learned(&mut book, NOW_MS).unwrap();
    for (has_held, failures) in [(false, 1), (true, 0)] {
        answers(&mut book, &attempt, PEER);
        book.ended(&attempt, has_held, (now(), NOW_MS));
        assert_eq!(book.tables.get(at("192.0.2.1:1")).unwrap().failures, failures);
    }
}

#[test]
fn a_feeler_proves_an_address_and_keeps_no_place() {
    let mut book = book();
    told(&mut book, "192.0.2.1:1", "198.51.100.1");
    let feeler = book.take_feeler(NOW_MS, &mut random(), nobody).unwrap();
    assert_eq!((feeler.purpose, book.learned().len()), (Purpose::Feeler(at("192.0.2.1:1")), 0));
    answers(&mut book, &feeler, PEER);
    assert_eq!(book.counts(), (0, 1));
    assert_eq!(book.take_feeler(NOW_MS + DAY_MS, &mut random(), nobody), None, "there is none to feel");
}

/// Else a connection that lasts would cost its peer the place that it has proved.
#[test]
fn a_peer_that_is_connected_is_not_asked_whether_it_is_there_and_keeps_its_place() {
    let mut book = book();
    told(&mut book, "203.0.0.1:1", "198.51.100.1");
    let attempt = take_learned(&mut book, NOW_MS).unwrap();
    answers(&mut book, &attempt, PEER);
    // Others of its network answer, until one of them wants its very place.
    let is_rival = |book: &mut AddressBook, number: u16| {
        let [high, low] = number.to_be_bytes();
        let address = at(&format!("203.0.{high}.{low}:2"));
        let teller = book.teller([198, high, low, 1].into());
        book.learn(address, (teller, None), NOW_MS + DAY_MS, &mut random());
        book.tables.answered(address, OTHER, NOW_MS + DAY_MS);
        book.tables.get(address).is_some_and(|entry| !entry.is_tried)
            && book.tables.next_to_ask(NOW_MS + DAY_MS) == Some(at("203.0.0.1:1"))
    };
    assert!((0..u16::MAX).any(|number| is_rival(&mut book, number)));
    let is_barred = |_, identity: Option<PeerId>| identity == Some(PEER);
    let feeler = book.take_feeler(NOW_MS + DAY_MS, &mut random(), is_barred);
    assert!(feeler.is_none_or(|feeler| feeler.address != "203.0.0.1:1"));
    assert_eq!(book.tables.next_to_ask(NOW_MS + DAY_MS + 3_600_000), None);
    assert!(book.tables.get(at("203.0.0.1:1")).unwrap().is_tried);
}

#[test]
fn what_is_pinned_leaves_some_places_to_what_peers_told() {
    let mut book = book();
    assert_eq!([1, 2, 16].map(|max| book.learned_max(max)), [1, 1, 8], "half, if nothing is pinned");
    for number in 0..12 {
        book.pin(&format!("192.0.2.{number}:1"), None, now());
    }
    assert_eq!([1, 2, 16].map(|max| book.learned_max(max)), [0, 1, 4]);
    for number in 12..40 {
        book.pin(&format!("192.0.2.{number}:1"), None, now());
    }
    assert_eq!(book.learned_max(16), 2, "some at any rate");
    for number in 0..40 {
        (0..3).for_each(|_| book.failed(&pinned(&format!("192.0.2.{number}:1")), true, now()));
    }
    assert_eq!(book.learned_max(16), 8, "those that do not answer need none");
}

/// Else it would be told again, and this node would dial itself again and again.
#[test]
fn an_address_of_this_node_itself_is_never_dialled_again() {
    let mut book = book();
    told(&mut book, "192.0.2.1:1", "198.51.100.1");
    let attempt = take_learned(&mut book, NOW_MS).unwrap();
    book.is_own(&attempt);
    told(&mut book, "192.0.2.1:1", "198.51.100.1");
    assert_eq!((book.counts(), take_learned(&mut book, NOW_MS + DAY_MS)), ((0, 0), None));
    // The memory of them is bounded.
    for number in 0..100 {
        let address = at(&format!("203.0.113.{number}:1"));
        book.is_own(&Attempt::to(address, Purpose::Learned(address)));
    }
    assert_eq!(book.own.len(), OWN_MAX);
}

/// The chain says who a masternode is, the configuration only where one of them may be.
#[test]
fn who_is_expected_at_an_address_is_not_forgotten_when_it_is_named_again() {
    let start = now();
    let mut book = book();
    let address = "192.0.2.1:1";
    assert!(book.pin(address, Some(OTHER), start));
    assert!(book.pin(address, None, start));
    assert_eq!(book.take_due((9, 0), start, |_| false)[0].expected, Some(OTHER));
}

/// A pinned address that answered is an address to fall back on, once it is pinned no more.
#[test]
fn what_is_pinned_and_answers_is_proved_for_later() {
    let mut book = book();
    for (address, is_kept) in [("192.0.2.1:1", true), ("10.0.0.1:1", false)] {
        book.pin(address, None, now());
        answers(&mut book, &pinned(address), PEER);
        assert_eq!(book.tables.get(at(address)).is_some_and(|entry| entry.is_tried), is_kept, "{address}");
    }
}

/// As Bitcoin Core's `addnode`: added ones can be taken back, configured ones not, and one try is one.
#[test]
fn what_the_operator_adds_can_be_taken_back_and_one_try_is_one() {
    let mut book = book();
    let start = now();
    let [given, added, once] = ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"];
    assert!(book.pin(given, None, start) && book.add(given, None, start) && book.add(added, None, start));
    assert!(!book.take_back(given) && !book.take_back(once), "it was not added");
    assert!(book.try_once(once, start) && !book.add("nonsense", None, start));
    assert!(!book.try_once("nonsense", start));
    assert!(
        book.is_added(given) && book.is_added(added) && !book.is_added(once) && !book.is_added("nonsense")
    );
    let fail_all = |book: &mut AddressBook, at: Instant| -> Vec<String> {
        let due = book.take_due((9, 0), at, |_| false);
        due.iter().for_each(|attempt| book.failed(attempt, true, at));
        let mut names: Vec<String> = due.into_iter().map(|attempt| attempt.address).collect();
        names.sort_unstable();
        names
    };
    let day = |number: u32| start + Duration::from_secs(86_400) * number;
    assert_eq!(fail_all(&mut book, day(0)), [given, added, once]);
    assert_eq!(fail_all(&mut book, day(1)), [given, added], "one try was one");
    assert!(book.take_back(added) && !book.take_back(added) && !book.is_added(added));
    assert_eq!(fail_all(&mut book, day(2)), [given]);
    // One that answers and then ends was tried, too.
    assert!(book.try_once(once, start));
    let due = book.take_due((9, 0), start, |_| false);
    assert_eq!(due.len(), 1);
    answers(&mut book, &due[0], PEER);
    book.ended(&due[0], true, (day(2), NOW_MS));
    assert_eq!(fail_all(&mut book, day(3)), [given]);
    // What is pinned already is dialled at once, and stays.
    assert!(book.try_once(given, day(3)));
    assert_eq!(fail_all(&mut book, day(3)), [given]);
    assert_eq!(fail_all(&mut book, day(4)), [given]);
}

/// INV-NET-15: masternodes are dialled whatever the operator adds, tries and takes back.
#[test]
fn what_the_chain_names_stays_when_the_operator_takes_it_back() {
    let [first, later] = ["192.0.2.1:1", "192.0.2.2:1"].map(str::to_owned);
    let (mut book, start) = (book(), now());
    assert!(book.set_chain(std::slice::from_ref(&first), start).is_empty());
    assert!(!book.is_added(&first), "the operator can add it");
    assert!(book.add(&first, None, start) && book.add(&later, None, start));
    assert!(book.set_chain(&[first.clone(), later.clone()], start).is_empty());
    assert!(book.take_back(&first) && book.take_back(&later));
    let names = |book: &mut AddressBook| {
        let due = book.take_due((9, 0), start + Duration::from_secs(600), |_| false);
        due.iter().for_each(|attempt| book.failed(attempt, true, start));
        due.into_iter().map(|attempt| attempt.address).collect::<HashSet<_>>()
    };
    assert_eq!(names(&mut book), HashSet::from([first.clone(), later.clone()]));
    // As the chain's, it goes when the chain names it no more.
    assert!(book.set_chain(std::slice::from_ref(&first), start).is_empty());
    assert_eq!(names(&mut book), HashSet::from([first]));
}
