//! Where nodes stand on earth, who is connected to whom, and how long a message takes between them.

use crate::random::Random;

/// Places with data centers.
pub const REGIONS: [&str; 10] = [
    "Virginia",
    "Oregon",
    "Sao Paulo",
    "Ireland",
    "Frankfurt",
    "Mumbai",
    "Singapore",
    "Tokyo",
    "Sydney",
    "Cape Town",
];

/// Round trips between regions in milliseconds, of the order of the medians that cloud providers' users measure
/// (cloudping.co), rounded. Half of one is a one-way delay.
const ROUND_TRIPS_MS: [[u64; 10]; 10] = [
    [2, 60, 115, 68, 92, 190, 215, 148, 198, 226],
    [60, 2, 175, 118, 140, 215, 162, 97, 140, 275],
    [115, 175, 2, 178, 203, 300, 325, 256, 310, 340],
    [68, 118, 178, 2, 26, 122, 178, 202, 255, 160],
    [92, 140, 203, 26, 2, 115, 158, 225, 250, 155],
    [190, 215, 300, 122, 115, 2, 58, 128, 145, 265],
    [215, 162, 325, 178, 158, 58, 2, 70, 93, 250],
    [148, 97, 256, 202, 225, 128, 70, 2, 105, 350],
    [198, 140, 310, 255, 250, 145, 93, 105, 2, 400],
    [226, 275, 340, 160, 155, 265, 250, 350, 400, 2],
];

/// Connections that a node opens, as by the node's own default. Smaller networks are complete graphs.
const OUTBOUND: usize = 16;

/// A network of nodes on earth.
#[derive(Clone, Debug)]
pub struct Geography {
    /// Each node's region.
    regions: Vec<usize>,
    /// For each pair, whether they are connected.
    connected: Vec<Vec<bool>>,
}

impl Geography {
    /// `count` nodes, spread evenly over the regions in use, of which there are no more than nodes.
    pub fn spread(count: usize, random: &mut Random) -> Self {
        // A few nodes stand far apart all the same: every second region.
        let step = if count < REGIONS.len() { REGIONS.len() / count } else { 1 };
        let regions = (0..count).map(|node| node * step % REGIONS.len()).collect();
        let opened = if count <= 2 * OUTBOUND { count } else { OUTBOUND };
        let mut pairs = Vec::new();
        for node in 0..count {
            let mut others: Vec<usize> = (0..count).filter(|other| *other != node).collect();
            while others.len() > opened {
                others.swap_remove(random.below(others.len()));
            }
            pairs.extend(others.into_iter().map(|other| (node, other)));
        }
        let mut connected = vec![vec![false; count]; count];
        for (one, other) in pairs {
            connected[one][other] = true;
            connected[other][one] = true;
        }
        Self { regions, connected }
    }

    pub fn are_connected(&self, one: usize, other: usize) -> bool {
        self.connected[one][other]
    }

    /// The one-way delay of a message, with a tenth of it as jitter at most.
    pub fn delay_ms(&self, from: usize, to: usize, random: &mut Random) -> u64 {
        let base_ms = self.one_way_ms(from, to);
        base_ms + random.between(0, base_ms / 10)
    }

    /// Half a round trip, at least 1 ms.
    pub fn one_way_ms(&self, from: usize, to: usize) -> u64 {
        ROUND_TRIPS_MS[self.regions[from]][self.regions[to]].div_ceil(2)
    }

    /// The slowest direct link within the closest quorum of equal validators: the least, over all sets of whole regions
    /// that hold at least `quorum` of these nodes, of the largest one-way delay within the set.
    pub fn slowest_quorum_link_ms(&self, nodes: &[usize], quorum: usize) -> u64 {
        let mut population = [0; REGIONS.len()];
        for node in nodes {
            population[self.regions[*node]] += 1;
        }
        let sets = 0_u32..1 << REGIONS.len();
        let members = |set: u32| (0..REGIONS.len()).filter(move |region| set & 1 << region != 0);
        let slowest = |set: u32| {
            let pairs =
                members(set).flat_map(|one| members(set).map(move |other| ROUND_TRIPS_MS[one][other]));
            pairs.max().unwrap_or(0).div_ceil(2)
        };
        sets.filter(|set| members(*set).map(|region| population[region]).sum::<usize>() >= quorum)
            .map(slowest)
            .min()
            .expect("the nodes hold a quorum")
    }
}

#[test]
fn delays_are_symmetric_and_a_quorum_knows_its_slowest_link() {
    for (one, row) in ROUND_TRIPS_MS.iter().enumerate() {
        for (other, delay) in row.iter().enumerate() {
            assert_eq!(*delay, ROUND_TRIPS_MS[other][one], "{} to {}", REGIONS[one], REGIONS[other]);
        }
    }
    let geography = Geography::spread(4, &mut Random::new(1));
    // Virginia, Sao Paulo, Frankfurt and Singapore: the first three are closest to each other.
    assert_eq!(geography.regions, [0, 2, 4, 6]);
    assert_eq!(geography.slowest_quorum_link_ms(&[0, 1, 2, 3], 3), 102);
    assert_eq!(geography.slowest_quorum_link_ms(&[0, 1, 2, 3], 4), 163);
}
