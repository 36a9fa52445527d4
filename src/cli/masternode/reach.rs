//! Whether masternodes can be reached, and how much of the weight is behind those that can't.
//!
//! A masternode that is down can't vote, and with a third of the weight down nothing is final and no block comes any more:
//! not even the exit that would mend it. So what would bring a chain there is refused, unless it is forced.
//!
//! An address counts as reachable when it takes a connection from this machine, or when the node that is asked is
//! connected to it. Neither proves that a node with the right key runs there.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tokio::net::TcpStream;

use super::super::CliError;
use super::super::output;
use crate::rpc::types::MasternodeInfo;
use crate::types::{ChainParameters, MasternodeId};
use crate::wallet::masternode::is_network_address;

/// How long an address is tried.
const REACH_MAX: Duration = Duration::from_secs(3);
/// Addresses that are tried at once.
const TRIED_AT_ONCE: usize = 32;

/// Whether anybody listens at an address, seen from this machine.
pub(super) async fn check_address(address: &str) -> Result<String, String> {
    if !is_network_address(address) {
        return Err(format!("{address:?} is not host:port, such as node.example:24000"));
    }
    let why = match tokio::time::timeout(REACH_MAX, TcpStream::connect(address)).await {
        Ok(Ok(_)) => return Ok(format!("{address} takes connections from this machine")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", REACH_MAX.as_secs()),
    };
    Err(format!(
        "nothing takes connections at {address}, as seen from this machine ({why}); start the node there, and open the port in its firewall"
    ))
}

/// A masternode that may be in the next set. Its weight is the one that its collateral has, which it may still have to
/// grow into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    id: Option<MasternodeId>,
    weight: u64,
    registration: u64,
    reachable: bool,
}

/// Why the masternode that a command is about may be down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Danger {
    /// Nothing takes connections at its address.
    Unreachable,
    /// It votes with its new key only when its node runs with that.
    NewKey,
}

/// The next set's weight, by who can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weights {
    /// Of the masternode that the command is about.
    own: u64,
    own_reachable: bool,
    /// Of all that can't be reached, that one included.
    unreachable: u64,
    total: u64,
}

impl Weights {
    /// The heaviest and then oldest `seats` of them; `own` is the id of the one in question, `None` for a new one.
    fn of(mut candidates: Vec<Candidate>, own: Option<MasternodeId>, seats: usize) -> Self {
        candidates.sort_by_key(|one| (std::cmp::Reverse(one.weight), one.registration));
        candidates.truncate(seats);
        let sum = |fits: &dyn Fn(&Candidate) -> bool| {
            let weights = candidates.iter().filter(|one| fits(one)).map(|one| one.weight);
            weights.fold(0_u64, u64::saturating_add)
        };
        Self {
            own: sum(&|one| one.id == own),
            own_reachable: candidates.iter().any(|one| one.id == own && one.reachable),
            unreachable: sum(&|one| !one.reachable),
            total: sum(&|_| true),
        }
    }

    const fn is_third(&self, weight: u64) -> bool {
        weight.saturating_mul(3) >= self.total && self.total > 0
    }

    /// Whether the set would lose its quorum if all went on as it looks from here. One that can be reached makes nothing
    /// worse.
    const fn endangers(&self) -> bool {
        self.own > 0 && !self.own_reachable && self.is_third(self.unreachable)
    }

    /// In words: the share, and what is wrong with it.
    pub(super) fn describe(&self, danger: Danger) -> Result<String, String> {
        let Self { own, unreachable, total, .. } = self;
        let stops =
            "with a third or more of the weight down the chain stops, and not even an exit gets into a block";
        if self.endangers() {
            return Err(match danger {
                Danger::Unreachable => format!(
                    "masternodes with {unreachable} of the next set's weight of {total} could not be reached, this one with \
                     {own} among them: {stops}; start its node first, or give --force if you know that it runs"
                ),
                Danger::NewKey => format!(
                    "until its node runs with the new key, masternodes with {unreachable} of the next set's weight of \
                     {total} are down, this one with {own} among them: {stops}; give --force if you restart its node with \
                     the new key as soon as the epoch has ended"
                ),
            });
        }
        let down = match unreachable {
            0 => String::new(),
            _ => format!("; masternodes with {unreachable} could not be reached"),
        };
        Ok(format!("{own} of the next set's weight of {total}{down}"))
    }

    /// Refuses what endangers the chain, unless it is forced; warns of what may.
    pub(super) fn judge(&self, danger: Danger, forced: bool) -> Result<(), CliError> {
        if self.is_third(self.own) {
            output::notice(format_args!(
                "WARNING: this masternode alone will have {} of the next set's weight of {}, a third or more: whenever it is down, the chain stops",
                self.own, self.total
            ));
        }
        decide(self.describe(danger).map(drop), forced)
    }

    /// What is wrong with an exit that leaves a set with these weights. `self` is the set before it.
    ///
    /// Who is down itself, or has no seat, makes nothing worse by leaving.
    fn exit_problem(&self, left: &Self) -> Option<String> {
        let Self { unreachable, total, .. } = left;
        let stops = self.own > 0 && self.own_reachable && unreachable.saturating_mul(3) >= *total;
        stops.then(|| {
            format!(
                "without this one, masternodes with {unreachable} of the next set's weight of {total} could not be \
                 reached: with a third or more of the weight down the chain stops, and nobody can register or leave any \
                 more; bring them up first (`timed masternode list` tells which), or give --force if you know that they run"
            )
        })
    }
}

/// Refuses what endangers the chain, unless it is forced.
fn decide(verdict: Result<(), String>, forced: bool) -> Result<(), CliError> {
    match verdict {
        Err(problem) if forced => output::notice(format_args!("WARNING: forced, although {problem}")),
        Err(problem) => return Err(CliError::Failed(format!("nothing was sent: {problem}"))),
        Ok(()) => {}
    }
    Ok(())
}

/// Whether a masternode may be in the next set.
pub(super) fn is_candidate(masternode: &MasternodeInfo) -> bool {
    matches!(masternode.state.as_str(), "active" | "eligible" | "exiting")
}

/// The masternode that a command is about.
pub(super) struct Subject {
    /// `None` for one that is to be registered.
    pub(super) id: Option<MasternodeId>,
    pub(super) weight: u64,
    pub(super) registration: u64,
    pub(super) reachable: bool,
}

/// Tries all masternodes that may be in the next set.
pub(super) async fn weights(
    masternodes: &[MasternodeInfo],
    parameters: &ChainParameters,
    subject: &Subject,
) -> Weights {
    let others = masternodes.iter().filter(|one| Some(one.id) != subject.id).filter(|one| is_candidate(one));
    let mut candidates = tried(others.collect()).await;
    let Subject { id, weight, registration, reachable } = *subject;
    candidates.push(Candidate { id, weight, registration, reachable });
    Weights::of(candidates, id, seats(parameters))
}

/// Refuses an exit that would leave a set without a quorum of those that can be reached, unless it is forced. Those that
/// have asked to leave already are counted as gone.
///
/// # Errors
/// When the exit is refused.
pub(super) async fn judge_exit(
    masternodes: &[MasternodeInfo],
    parameters: &ChainParameters,
    leaving: MasternodeId,
    forced: bool,
) -> Result<(), CliError> {
    let stay = masternodes.iter().filter(|one| is_candidate(one));
    let stay = stay.filter(|one| one.id == leaving || !one.exit_requested);
    let stay: Vec<&MasternodeInfo> = stay.collect();
    let candidates = tried(stay.clone()).await;
    // What they weigh now, and what they weigh once all have grown: neither set may be without a quorum.
    let now =
        candidates.iter().zip(&stay).map(|(one, info)| Candidate { weight: info.effective_weight, ..*one });
    for mut set in [now.collect(), candidates.clone()] {
        let before = Weights::of(Vec::clone(&set), Some(leaving), seats(parameters));
        set.retain(|one| one.id != Some(leaving));
        let left = Weights::of(set, Some(leaving), seats(parameters));
        decide(before.exit_problem(&left).map_or(Ok(()), Err), forced)?;
    }
    Ok(())
}

fn seats(parameters: &ChainParameters) -> usize {
    usize::try_from(parameters.max_validators).unwrap_or(usize::MAX)
}

/// Masternodes, each with whether it can be reached.
async fn tried(masternodes: Vec<&MasternodeInfo>) -> Vec<Candidate> {
    let unknown = masternodes.iter().filter(|one| !one.connected).map(|one| one.address.clone());
    let tried: BTreeMap<String, bool> = stream::iter(unknown.collect::<Vec<_>>())
        .map(|address| async move {
            let reachable = check_address(&address).await.is_ok();
            (address, reachable)
        })
        .buffer_unordered(TRIED_AT_ONCE)
        .collect()
        .await;
    masternodes
        .into_iter()
        .map(|one| Candidate {
            id: Some(one.id),
            weight: one.weight,
            registration: one.registration,
            reachable: one.connected || tried.get(&one.address).copied().unwrap_or(false),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::fake_node::masternode;
    use crate::types::Network;

    fn candidate(id: u8, weight: u64, reachable: bool) -> Candidate {
        Candidate { id: Some(MasternodeId([id; 32])), weight, registration: u64::from(id), reachable }
    }

    fn weights_of(own: Candidate, others: &[Candidate]) -> Weights {
        let all = others.iter().copied().chain([own]).collect();
        Weights::of(all, own.id, 100)
    }

    #[test]
    fn a_third_of_the_weight_that_is_down_is_too_much() {
        let silver = [1, 2, 3, 4].map(|id| candidate(id, 10, true));
        // A quorum of 140 is 94: a dead gold node leaves 40.
        let gold = weights_of(candidate(9, 100, false), &silver);
        assert!(gold.endangers());
        let problem = gold.describe(Danger::Unreachable).unwrap_err();
        assert!(
            problem.contains("100 of the next set's weight of 140") && problem.contains("--force"),
            "{problem}"
        );
        let judge = |forced| gold.judge(Danger::Unreachable, forced);
        assert!(judge(false).is_err() && judge(true).is_ok());
        let problem = gold.describe(Danger::NewKey).unwrap_err();
        assert!(problem.contains("new key") && problem.contains("--force"), "{problem}");
        assert!(!weights_of(candidate(9, 100, true), &silver).endangers(), "it is up");
        assert!(!weights_of(candidate(9, 1, false), &silver).endangers(), "a bronze one is no danger");
        // 20 of 60 is a third exactly: a quorum is 41.
        assert!(weights_of(candidate(9, 20, false), &silver).endangers());
        assert!(!weights_of(candidate(9, 19, false), &silver).endangers());
    }

    #[test]
    fn those_that_are_down_already_count() {
        let mut silver = [1, 2, 3, 4, 5, 6, 7].map(|id| candidate(id, 10, true));
        silver[0].reachable = false;
        silver[1].reachable = false;
        assert!(!weights_of(candidate(9, 1, false), &silver).endangers(), "21 of 71");
        assert!(weights_of(candidate(9, 10, false), &silver).endangers(), "30 of 80");
        let better = weights_of(candidate(9, 10, true), &silver);
        assert!(!better.endangers(), "who can be reached makes nothing worse");
        assert!(
            better
                .describe(Danger::Unreachable)
                .unwrap()
                .contains("masternodes with 20 could not be reached")
        );
    }

    #[test]
    fn who_gets_no_seat_endangers_nobody() {
        let silver: Vec<Candidate> = (1..=4).map(|id| candidate(id, 10, true)).collect();
        let all = silver.iter().copied().chain([candidate(9, 10, false)]).collect();
        let weights = Weights::of(all, Some(MasternodeId([9; 32])), 4);
        assert_eq!((weights.own, weights.total, weights.endangers()), (0, 40, false));
    }

    #[tokio::test]
    async fn an_exit_that_leaves_no_quorum_of_those_that_are_up_is_refused_unless_it_is_forced() {
        let gone = {
            let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            closed.local_addr().unwrap().to_string()
        };
        let member = |id, connected| MasternodeInfo {
            id: MasternodeId([id; 32]),
            state: "active".to_owned(),
            weight: 10,
            effective_weight: 10,
            address: gone.clone(),
            connected,
            ..masternode()
        };
        let parameters = ChainParameters::of_network(Network::Devnet);
        let judge = async |set: &[MasternodeInfo], id, forced| {
            judge_exit(set, &parameters, MasternodeId([id; 32]), forced).await
        };
        let mut set: Vec<MasternodeInfo> = (1..=4).map(|id| member(id, id != 4)).collect();
        let problem = judge(&set, 1, false).await.unwrap_err().to_string();
        assert!(
            problem.contains("10 of the next set's weight of 30") && problem.contains("--force"),
            "{problem}"
        );
        assert!(judge(&set, 1, true).await.is_ok());
        assert!(judge(&set, 4, false).await.is_ok(), "who is down makes nothing worse by leaving");
        // One that has not grown yet is not there in time.
        let gold = MasternodeInfo { weight: 100, effective_weight: 1, ..member(6, true) };
        let young = [member(1, true), member(2, true), member(4, false), gold];
        assert!(judge(&young, 1, false).await.is_err(), "10 of 21 are more than a third");
        set.push(member(5, true));
        assert!(judge(&set, 1, false).await.is_ok(), "10 of 40 are less than a third");
        // Another one that leaves counts as gone, and a jailed one has no vote.
        set[1].exit_requested = true;
        assert!(judge(&set, 1, false).await.is_err());
        set[1].exit_requested = false;
        set[2].state = "jailed".to_owned();
        assert!(judge(&set, 1, false).await.is_err());
        assert!(judge(&set, 3, false).await.is_ok(), "it is in no set");
        assert!(judge(&set[..1], 1, false).await.is_err(), "nobody would be left");
    }

    #[tokio::test]
    async fn members_are_reachable_by_the_node_or_from_here() {
        let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = |listener: &tokio::net::TcpListener| listener.local_addr().unwrap().to_string();
        let member = |id, address: String, connected, state: &str| MasternodeInfo {
            id: MasternodeId([id; 32]),
            state: state.to_owned(),
            weight: 10,
            address,
            connected,
            ..masternode()
        };
        let gone = address(&closed);
        drop(closed);
        let all = [
            member(1, gone.clone(), true, "active"),
            member(2, address(&listening), false, "active"),
            member(3, gone.clone(), false, "eligible"),
            member(4, gone.clone(), false, "jailed"),
        ];
        let parameters = ChainParameters::of_network(Network::Devnet);
        let subject = Subject { id: None, weight: 10, registration: 9, reachable: true };
        let found = weights(&all, &parameters, &subject).await;
        assert_eq!((found.own, found.unreachable, found.total), (10, 10, 40));
        // A change of a member's address counts by the new one.
        let subject =
            Subject { id: Some(MasternodeId([1; 32])), weight: 10, registration: 0, reachable: false };
        let found = weights(&all, &parameters, &subject).await;
        assert_eq!((found.own, found.unreachable, found.total, found.endangers()), (10, 20, 30, true));
        assert!(check_address("nowhere").await.unwrap_err().contains("host:port"));
    }
}
