//! Breadth-first search over worlds of three honest nodes, whose local states are interned.
//!
//! A world is four numbers: the interned local state of each honest node, and what is shared. What a node does on an
//! input depends on its local state alone, so the real machine runs once for each pair of local state and input that
//! occurs anywhere; from then on that pair is a look into a table. A search of millions of worlds runs a machine some
//! ten thousand times. (A general checker such as stateright clones, steps and hashes three machines for each successor
//! of each world, and tells worlds apart by 64 bits of that hash.)
//!
//! # What is told apart
//! Local states by BLAKE3 of the text that [`Local::write_key`] writes; worlds by all four numbers, with no hash in
//! between. The text is made of the machine's derived `Debug`, which names every field; what is left out of it is left
//! out by name, with its reason, in `finality/node.rs` and `tendermint/forgetful.rs`. (Hashes and signatures print
//! their first eight digits, which differ for all that a model has.)
//!
//! # Symmetry
//! The honest nodes run the same code, so a world and the same world with its nodes' names exchanged have the same
//! future, and only the least of the six is kept. A local state names the others relative to its node: 1 is the next
//! one, 2 the one after that, 3 the Byzantine one. Turning the names around therefore moves local states only;
//! exchanging two nodes also replaces each local state by its mirror image, in which 1 and 2 are exchanged. The mirror
//! image is no claim: it is what the machine comes to on the mirrored inputs, and [`Arena::step`] asserts that it is
//! the same whichever way led there.

use std::collections::HashMap;
use std::fmt::Write as _;

use ahash::RandomState;

/// Honest nodes.
pub const HONEST: usize = 3;
/// What the others call the Byzantine node.
pub const BYZANTINE: u8 = 3;

/// A set of the two other honest nodes (bit 0 is the first of them), with these exchanged.
pub const fn exchanged(others: u8) -> u8 {
    others >> 1 | (others & 1) << 1
}

/// What can be seen of a world, whatever else its nodes heard; see [`Model::view`].
pub type View = [u128; HONEST + 1];

/// Interned local state.
pub type Id = u32;
/// What can happen to a node, as a number below [`Local::CODES`].
pub type Code = u16;

const UNKNOWN: Id = u32::MAX;
const NOTHING: Id = u32::MAX - 1;

/// One node's state.
pub trait Local: Sized {
    /// What worlds are checked by.
    type Summary: Copy;
    /// What all nodes share and nothing changes.
    type Context;
    /// How many codes there are.
    const CODES: usize;

    /// Everything that the node's future depends on.
    fn write_key(&self, context: &Self::Context, key: &mut String);
    fn summary(&self, context: &Self::Context) -> Self::Summary;
    /// The state after an input, or `None` if it can't happen.
    fn step(&self, context: &Self::Context, code: Code) -> Option<Self>;
    /// The same input with the names 1 and 2 exchanged.
    fn mirrored(context: &Self::Context, code: Code) -> Code;
}

/// All local states met so far.
pub struct Arena<L: Local> {
    pub context: L::Context,
    locals: Vec<L>,
    summaries: Vec<L::Summary>,
    mirrors: Vec<Id>,
    table: Vec<Id>,
    by_key: HashMap<[u8; 32], Id, RandomState>,
    key: String,
    symmetric: bool,
    /// Steps are listed, not taken: a node stays as it is, whatever happens to it.
    listing: bool,
    /// How often a real machine was run.
    pub runs: usize,
}

impl<L: Local> Arena<L> {
    pub fn new(context: L::Context, symmetric: bool) -> Self {
        Self {
            context,
            locals: Vec::new(),
            summaries: Vec::new(),
            mirrors: Vec::new(),
            table: Vec::new(),
            by_key: HashMap::default(),
            key: String::new(),
            symmetric,
            listing: false,
            runs: 0,
        }
    }

    /// Takes the honest nodes for different ones, and forgets all local states.
    pub fn reset(&mut self) {
        self.symmetric = false;
        self.locals.clear();
        self.summaries.clear();
        self.mirrors.clear();
        self.table.clear();
        self.by_key.clear();
    }

    pub fn len(&self) -> usize {
        self.locals.len()
    }

    pub fn get(&self, id: Id) -> &L {
        &self.locals[id as usize]
    }

    pub fn summary(&self, id: Id) -> &L::Summary {
        &self.summaries[id as usize]
    }

    /// A first state, which is its own mirror image.
    pub fn insert(&mut self, local: L) -> Id {
        let id = self.intern(local);
        self.mirrors[id as usize] = id;
        id
    }

    fn intern(&mut self, local: L) -> Id {
        self.key.clear();
        local.write_key(&self.context, &mut self.key);
        let hash = *blake3::hash(self.key.as_bytes()).as_bytes();
        let next = self.locals.len() as Id;
        let id = *self.by_key.entry(hash).or_insert(next);
        if id == next {
            self.summaries.push(local.summary(&self.context));
            self.locals.push(local);
            self.mirrors.push(UNKNOWN);
            self.table.resize(self.table.len() + L::CODES, UNKNOWN);
        }
        id
    }

    fn run(&mut self, id: Id, code: Code) -> Id {
        let place = id as usize * L::CODES + usize::from(code);
        if self.table[place] == UNKNOWN {
            self.runs += 1;
            self.table[place] = match self.locals[id as usize].step(&self.context, code) {
                Some(next) => match self.intern(next) {
                    same if same == id => NOTHING,
                    other => other,
                },
                None => NOTHING,
            };
        }
        self.table[place]
    }

    /// The state after an input; `None` if it can't happen or changes nothing.
    pub fn step(&mut self, id: Id, code: Code) -> Option<Id> {
        if self.listing {
            return Some(id);
        }
        let place = id as usize * L::CODES + usize::from(code);
        let known = self.table[place];
        if known != UNKNOWN {
            return (known != NOTHING).then_some(known);
        }
        let next = self.run(id, code);
        if !self.symmetric {
            return (next != NOTHING).then_some(next);
        }
        let mirror = self.mirrors[id as usize];
        let mirrored = self.run(mirror, L::mirrored(&self.context, code));
        assert_eq!(next == NOTHING, mirrored == NOTHING, "the mirror image of an input does something else");
        if next == NOTHING {
            return None;
        }
        for (one, other) in [(next, mirrored), (mirrored, next)] {
            let before = std::mem::replace(&mut self.mirrors[one as usize], other);
            assert!(before == UNKNOWN || before == other, "a local state with two mirror images");
        }
        Some(next)
    }
}

/// The whole system.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct World {
    pub nodes: [Id; HONEST],
    pub shared: u32,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// To one node.
    Node { place: u8, code: Code },
    /// To what is shared.
    Shared(u32),
}

/// What the search explores.
pub trait Model {
    type Local: Local;

    fn arena(&mut self) -> &mut Arena<Self::Local>;
    fn first(&mut self) -> World;
    /// All that can happen, with what it leads to.
    fn successors(&mut self, world: World, out: &mut Vec<(Action, World)>);
    /// The first property that does not hold.
    fn broken(&mut self, world: World) -> Option<String>;
    /// What each node has done, and what is shared, without the nodes' names: equal for worlds that differ only in what
    /// nodes heard.
    fn view(&mut self, world: World) -> View;
    /// Things that have to be seen somewhere, or the search proves nothing, as bits.
    fn sights(&mut self, world: World) -> u32;
    fn describe(&mut self, before: World, action: Action, after: World) -> String;
}

/// The one of six equal worlds that stands for all.
fn canonical<L: Local>(arena: &Arena<L>, world: World) -> World {
    if !arena.symmetric {
        return world;
    }
    let [a, b, c] = world.nodes;
    let mirror = |id: Id| arena.mirrors[id as usize];
    let (x, y, z) = (mirror(a), mirror(b), mirror(c));
    let nodes = [[a, b, c], [b, c, a], [c, a, b], [x, z, y], [z, y, x], [y, x, z]];
    World { nodes: nodes.into_iter().min().unwrap_or(world.nodes), shared: world.shared }
}

/// What a search found.
pub struct Outcome {
    pub worlds: usize,
    pub depth: usize,
    pub locals: usize,
    pub runs: usize,
    /// Every world that can be reached was looked at.
    pub complete: bool,
    pub sights: u32,
    pub violation: Option<Violation>,
}

pub struct Violation {
    pub property: String,
    pub trace: Vec<String>,
}

impl Outcome {
    pub fn figures(&self) -> String {
        format!(
            "{} worlds up to depth {}{}; {} local states, {} runs of a machine",
            self.worlds,
            self.depth,
            if self.complete { ", all that there are" } else { "" },
            self.locals,
            self.runs
        )
    }
}

impl Violation {
    pub fn text(&self) -> String {
        let mut text = format!("  violates: {}\n", self.property);
        for (step, line) in (1..).zip(&self.trace) {
            let _ = writeln!(text, "  {step:>3}. {line}");
        }
        text
    }
}

/// Worlds by number, and numbers by world: a table with open addressing, as memory is what bounds a search.
struct Worlds {
    list: Vec<World>,
    parents: Vec<u32>,
    /// The upper half of a world's hash and its number.
    slots: Vec<(u32, u32)>,
    hasher: RandomState,
}

impl Worlds {
    fn new(first: World) -> Self {
        let mut worlds = Self {
            list: Vec::new(),
            parents: Vec::new(),
            slots: vec![(0, UNKNOWN); 1 << 16],
            hasher: RandomState::new(),
        };
        worlds.insert(first, 0);
        worlds
    }

    /// Where the search for a world begins, and what its slot is marked with.
    fn place(&self, world: &World) -> (usize, u32) {
        let hash = self.hasher.hash_one(world);
        (hash as usize & (self.slots.len() - 1), (hash >> 32) as u32)
    }

    fn slot(&self, world: &World) -> (usize, u32) {
        let (mut slot, mark) = self.place(world);
        loop {
            let (found, number) = self.slots[slot];
            if number == UNKNOWN || found == mark && self.list[number as usize] == *world {
                return (slot, mark);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    /// Reads what insertions of these worlds will read, all at once instead of one after the other: a search spends most
    /// of its time waiting for memory.
    fn fetch(&self, worlds: &[World], numbers: &mut Vec<u32>) {
        numbers.clear();
        numbers.extend(worlds.iter().map(|world| self.slots[self.place(world).0].1));
        let known = numbers.iter().filter_map(|number| self.list.get(*number as usize));
        std::hint::black_box(known.fold(0, |sum, world| sum ^ world.shared));
    }

    /// The number of a world that is new.
    fn insert(&mut self, world: World, parent: u32) -> Option<u32> {
        let (slot, mark) = self.slot(&world);
        if self.slots[slot].1 != UNKNOWN {
            return None;
        }
        let number = self.list.len() as u32;
        self.slots[slot] = (mark, number);
        self.list.push(world);
        self.parents.push(parent);
        if self.list.len() * 3 > self.slots.len() * 2 {
            self.slots = vec![(0, UNKNOWN); self.slots.len() * 2];
            for number in 0..self.list.len() {
                let (slot, mark) = self.slot(&self.list[number]);
                self.slots[slot] = (mark, number as u32);
            }
        }
        Some(number)
    }

    /// From the first world to this one.
    fn path(&self, number: u32) -> Vec<World> {
        let mut path = vec![number];
        while path.last() != Some(&0) {
            path.push(self.parents[path[path.len() - 1] as usize]);
        }
        path.into_iter().rev().map(|number| self.list[number as usize]).collect()
    }
}

/// Explores until nothing is new, a property is broken, or there are this many worlds.
pub fn search<M: Model>(model: &mut M, worlds_max: usize) -> Outcome {
    search_with(model, worlds_max, &mut |_, _| None)
}

/// The same with one more property.
pub fn search_with<M: Model>(
    model: &mut M,
    worlds_max: usize,
    property: &mut dyn FnMut(&mut M, World) -> Option<String>,
) -> Outcome {
    let first = model.first();
    let mut worlds = Worlds::new(canonical(model.arena(), first));
    let mut check = |model: &mut M, world| model.broken(world).or_else(|| property(model, world));
    let (mut successors, mut found, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut next, mut level_end, mut depth, mut sights) = (0, 1, 0, model.sights(first));
    let mut bad = check(model, first).map(|property| (0, property));
    while next < worlds.list.len() && bad.is_none() && worlds.list.len() < worlds_max {
        if next == level_end {
            (level_end, depth) = (worlds.list.len(), depth + 1);
        }
        successors.clear();
        model.successors(worlds.list[next], &mut successors);
        found.clear();
        found.extend(successors.iter().map(|(_, successor)| canonical(model.arena(), *successor)));
        worlds.fetch(&found, &mut numbers);
        for world in &found {
            let Some(number) = worlds.insert(*world, next as u32) else { continue };
            sights |= model.sights(*world);
            if let Some(property) = check(model, *world) {
                bad = Some((number, property));
                break;
            }
        }
        next += 1;
    }
    let complete = bad.is_none() && next == worlds.list.len();
    let violation = bad.map(|(number, property)| {
        let path = worlds.path(number);
        Violation { property, trace: retrace(model, first, &path[1..]) }
    });
    let (locals, runs) = (model.arena().len(), model.arena().runs);
    Outcome { worlds: worlds.list.len(), depth, locals, runs, complete, sights, violation }
}

/// Local states that a walk keeps before it forgets them: their tables fill memory.
const WALK_LOCALS_MAX: usize = 4_000;

/// Walks at random from the first world: each step is one of all that could be tried, whether or not it does anything.
pub fn walk<M: Model>(
    model: &mut M,
    walks: usize,
    steps: usize,
    property: &mut dyn FnMut(&mut M, World) -> Option<String>,
) -> Option<Violation> {
    let mut random = 0_u64;
    model.arena().reset();
    for _ in 0..walks {
        if model.arena().len() > WALK_LOCALS_MAX {
            model.arena().reset();
        }
        let mut world = model.first();
        let mut trace = Vec::new();
        let mut tries = Vec::new();
        for _ in 0..steps {
            tries.clear();
            model.arena().listing = true;
            model.successors(world, &mut tries);
            model.arena().listing = false;
            if tries.is_empty() {
                break;
            }
            // splitmix64
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let (action, mut after) = tries[((bits ^ (bits >> 31)) % tries.len() as u64) as usize];
            if let Action::Node { place, code } = action {
                let place = usize::from(place);
                let Some(next) = model.arena().step(world.nodes[place], code) else { continue };
                after.nodes[place] = next;
            }
            trace.push((world, action, after));
            world = after;
            if let Some(property) = model.broken(world).or_else(|| property(model, world)) {
                let trace =
                    trace.into_iter().map(|(before, action, after)| model.describe(before, action, after));
                return Some(Violation { property, trace: trace.collect() });
            }
        }
    }
    None
}

/// The steps through these worlds, with each node keeping its name.
fn retrace<M: Model>(model: &mut M, first: World, path: &[World]) -> Vec<String> {
    let mut world = first;
    let mut trace = Vec::new();
    for target in path {
        let mut successors = Vec::new();
        model.successors(world, &mut successors);
        let step = successors.into_iter().find(|(_, after)| canonical(model.arena(), *after) == *target);
        let (action, after) = step.expect("a world has the successors of those that are equal to it");
        trace.push(model.describe(world, action, after));
        world = after;
    }
    trace
}
