//! Which networks run beside each other, and on which ports.
//!
//! Most tests wait for a network more than they compute, so as many run at once as there are sets of ports (and threads of
//! the test program: `RUST_TEST_THREADS=3`). A test that judges how a network bears something has the machine for itself.

use std::sync::{Condvar, Mutex, PoisonError};

/// What a network must have to itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Ports that no other network has.
    Ports,
    /// The ports of `timed devnet`, since a program looks for a devnet there.
    DevnetPorts,
    /// The whole machine: payments have to become final in time, whatever is done to the network.
    Machine,
}

/// The first port of a network that has the machine.
pub const MACHINE_PORTS: u16 = 26_200;
/// The first ports of networks; that of `timed devnet` leads.
const FIRST_PORTS: [u16; 3] = [24_200, 27_200, MACHINE_PORTS];
/// The first place whose ports no node of a devnet has: for nodes that join, and for copies.
pub const GUESTS: usize = 50;

/// Who has which set of ports now.
struct Taken {
    ports: [bool; FIRST_PORTS.len()],
    /// Tests that wait for the whole machine. No other one begins before them.
    waiting: usize,
}

static TAKEN: Mutex<Taken> = Mutex::new(Taken { ports: [false; FIRST_PORTS.len()], waiting: 0 });
static GIVEN_BACK: Condvar = Condvar::new();

impl Taken {
    /// The sets that this test gets, if it may begin.
    fn give(&mut self, needs: Needs) -> Option<Vec<usize>> {
        let free = |set: &usize| !self.ports[*set];
        let sets: Vec<usize> = match needs {
            Needs::Machine => (0..self.ports.len()).rev().collect(),
            Needs::DevnetPorts => vec![0],
            // That of `timed devnet` is the last choice.
            Needs::Ports => vec![(0..self.ports.len()).rev().find(free)?],
        };
        let may = sets.iter().all(free) && (needs == Needs::Machine || self.waiting == 0);
        may.then(|| {
            sets.iter().for_each(|set| self.ports[*set] = true);
            sets
        })
    }
}

/// The right to run one network. Nested ones wait for each other for ever.
pub struct Turn(Vec<usize>);

impl Turn {
    /// The port for peers of the node at a place; its RPC has the next one, its metrics the one 200 above the first plus
    /// its place.
    pub fn port(&self, place: usize) -> u16 {
        assert!(place < 100, "places above have ports of metrics");
        FIRST_PORTS[self.0[0]] + 2 * u16::try_from(place).unwrap()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A test that failed has dropped its network all the same.
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.iter().for_each(|set| taken.ports[*set] = false);
        GIVEN_BACK.notify_all();
    }
}

/// Waits until there is what the test needs, and keeps it until it is dropped.
pub fn turn(needs: Needs) -> Turn {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let waits = usize::from(needs == Needs::Machine);
    taken.waiting += waits;
    loop {
        if let Some(sets) = taken.give(needs) {
            taken.waiting -= waits;
            return Turn(sets);
        }
        taken = GIVEN_BACK.wait(taken).unwrap_or_else(PoisonError::into_inner);
    }
}

#[test]
fn networks_that_bear_it_run_beside_each_other_and_the_others_alone() {
    let mut taken = Taken { ports: [false; FIRST_PORTS.len()], waiting: 0 };
    let one = taken.give(Needs::Ports);
    assert_eq!(one, Some(vec![2]), "the devnet's ports are left to those who need them");
    assert_eq!(taken.give(Needs::Machine), None, "not beside another");
    assert_eq!(taken.give(Needs::DevnetPorts), Some(vec![0]));
    assert_eq!(taken.give(Needs::Ports), Some(vec![1]));
    assert_eq!((taken.give(Needs::Ports), taken.give(Needs::DevnetPorts)), (None, None));
    taken.ports = [false; FIRST_PORTS.len()];
    taken.waiting = 1;
    assert_eq!(taken.give(Needs::Ports), None, "those who wait for the machine come first");
    assert_eq!(taken.give(Needs::Machine), Some(vec![2, 1, 0]));
    assert_eq!((taken.give(Needs::Machine), taken.give(Needs::Ports)), (None, None));
}
