// Checks a finality proof in the browser, with the genesis document alone or from a block that is trusted. It follows `src/types/wire.md`; "section" is one
// of that page. No node is asked.
//
// Signatures are checked by the browser's own Ed25519, which is stricter than ZIP 215: a validator that crafts its
// signatures can make a proof that `timed verify-proof` accepts and this check refuses, never the other way round.

import { ascii, ensure, followPath, hash, join, list, ProofError, Reader, same, toHex, u32, u64 } from "./bytes.js";

const PROOF_BYTES_MAX = 12 << 20;
const MAGIC = "timed/finality-proof";
/** The version of proofs that is known here. */
export const PROOF_VERSION = 3;
/** What the text of a proof says that it is. */
export const PROOF_FORMAT = "timed finality proof";

// -- sets: section 7 --------------------------------------------------------------------------------------------------

const setHash = (members) =>
  hash("timed/set/v1", list(members, (member) => join(member.id, member.key, u64(member.weight))));
const sum = (weights) => weights.reduce((all, weight) => all + weight, 0n);
const total = (members) => sum(members.map(({ weight }) => weight));
const quorum = (members) => (2n * total(members)) / 3n + 1n;

// -- the proof: section 10 --------------------------------------------------------------------------------------------

/** Why this browser can't check signatures, in words; `null` if it can. */
export const unable = () => (globalThis.crypto?.subtle ? null
  : "A browser checks signatures only on a page that it regards as secure: open this one at localhost or by HTTPS.");

async function holds(key, digest, signature) {
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") throw new ProofError("this browser knows no Ed25519; take a newer one");
    return false;
  }
  return crypto.subtle.verify("Ed25519", imported, signature, digest);
}

function header(reader) {
  const from = reader.at;
  const made = { chainId: reader.hash(), height: reader.u64() };
  reader.u32();
  Object.assign(made, { epoch: reader.u64(), ends: reader.flag(), time: reader.u64() });
  const [, , transactions, , epochEnds, , validators, next] = Array.from({ length: 9 }, () => reader.hash());
  // The rules that the block keeps to, and those that its proposer knows: they change nothing of what a proof is.
  reader.u32();
  reader.u32();
  return Object.assign(made, { transactions, epochEnds, validators, next, bytes: reader.bytes.subarray(from, reader.at) });
}

const blockHash = (block) => hash("timed/block/v1", block.bytes);
const checkpointOf = (block) => `${block.height}:${toHex(blockHash(block))}`;

const commit = (reader) => ({
  round: reader.u32(),
  signers: reader.list(() => reader.take(1)[0]),
  signatures: reader.list(() => reader.take(64)),
});

const member = (reader) => ({ id: reader.hash(), key: reader.hash(), weight: reader.u64() });
const sameMember = (a, b) => same(a.id, b.id) && same(a.key, b.key) && a.weight === b.weight;

const placesOf = (bitmap) => bitmap.flatMap((byte, at) => [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit) & 1).map((bit) => 8 * at + bit));

/** A set as a proof gives it: what it keeps of the set before it, and what it adds. */
const givenSet = (reader) => ({
  kept: reader.list(() => reader.take(1)[0]),
  added: reader.list(() => ({ place: reader.take(1)[0], member: member(reader) })),
});

/** Rule 4: the set of this hash, which is `base` or is given by its difference from it. */
function setOf(wanted, base, given, validatorsMax) {
  ensure(same(wanted, setHash(base)) === (given === null), "a set is missing or superfluous");
  if (given === null) return base;
  const kept = placesOf(given.kept);
  ensure(given.kept.length === Math.ceil(base.length / 8) && kept.every((place) => place < base.length), "a set keeps more than there is");
  const set = kept.map((place) => base[place]);
  for (const [at, { place, member: one }] of given.added.entries()) {
    ensure(place <= set.length && (at === 0 || given.added[at - 1].place < place), "the members of a set are not in their places");
    set.splice(place, 0, one);
  }
  ensure(set.length > 0 && BigInt(set.length) <= validatorsMax, "a set is empty or too large");
  // One form: a member is kept exactly if it stands in the other set behind the last one that was kept.
  const added = [];
  let from = 0;
  for (const [place, one] of set.entries()) {
    const found = base.findIndex((other, at) => at >= from && sameMember(one, other));
    if (found < 0) added.push(place);
    else from = found + 1;
  }
  ensure(added.join() === given.added.map(({ place }) => place).join(), "a set is not given in its one form");
  ensure(same(setHash(set), wanted), "a set is another one than its block names");
  const distinct = (name) => new Set(set.map((one) => toHex(one[name]))).size === set.length;
  ensure(distinct("id") && distinct("key"), "a masternode or a key stands in a set twice");
  return set;
}

/** What a key weighs in a set. */
const weightOf = (set, key) => set.find((one) => same(one.key, key))?.weight ?? 0n;

/** The way from the document's set to that of the proof's epoch. */
class Walk {
  constructor(genesis) {
    this.chainId = genesis.chainId;
    this.validatorsMax = genesis.validatorsMax;
    this.set = genesis.set;
    this.before = null;
    [this.epoch, this.height, this.time] = [0n, 0n, genesis.time];
  }

  /** Rule 8: the block that is trusted, and the set of its epoch or of one that had ended before. */
  startFrom({ block, past, set }, hasLinks) {
    ensure(same(block.chainId, this.chainId), "a block of another chain");
    if (past !== null) {
      const end = followPath(blockHash(past.block), Number(past.block.epoch), Number(block.epoch), past.path);
      ensure(end !== null && same(end.root, block.epochEnds), "an epoch's end is none to which the trusted block commits");
      ensure(!hasLinks, "a link leads on from an epoch that ended before the trusted block");
    }
    const naming = past?.block ?? block;
    this.set = setOf(naming.validators, this.set, set, this.validatorsMax);
    this.epoch = naming.epoch;
    const less = (number, by) => (number > by ? number - by : 0n);
    if (hasLinks) [this.height, this.time] = [less(block.height, 2n), less(block.time, 1n)];
    else this.height = 2n * this.epoch;
  }

  /** Rule 2. */
  checkHeader(block) {
    ensure(same(block.chainId, this.chainId), "a block of another chain");
    ensure(block.epoch >= this.epoch, "a block of an epoch that has passed");
    const least = this.height + 2n * (block.epoch - this.epoch) + (block.ends ? 2n : 1n);
    ensure(block.height >= least, "a block is lower than it can be");
    ensure(block.time > this.time, "a block is not later than what comes before it");
    if (block.epoch === this.epoch) ensure(same(block.validators, setHash(this.set)), "a block on which another set voted");
  }

  /** Those in these places of `set` are a quorum of each of the sets, and none of them is to spare. */
  weigh(places, set, sets) {
    const weights = sets.map((one) => places.map((place) => weightOf(one, set[place].key)));
    const enough = (spare) => sets.every((one, at) => sum(weights[at]) - (weights[at][spare] ?? 0n) >= quorum(one));
    ensure(enough(null), "the signatures weigh less than the quorum");
    ensure(!places.some((_, nth) => enough(nth)), "the proof has a signature to spare");
    return { signers: places.length, weight: sum(weights[0]) };
  }

  /** Rule 3, and rule 5 for the link before. */
  async checkCommit(block, given, set, before) {
    ensure(given.signers.length === Math.ceil(set.length / 8), "a commit's signers don't fit the set");
    const places = placesOf(given.signers);
    ensure(places.every((place) => place < set.length), "a commit has a signer beyond the set");
    ensure(places.length === given.signatures.length, "a commit has not one signature for each signer");
    const shown = this.weigh(places, set, set === this.set ? [set] : [set, this.set]);
    const reaches = (one) => same(setHash(one), block.validators)
      || sum(places.map((place) => weightOf(one, set[place].key))) >= quorum(one);
    ensure(before === null || !reaches(before), "a link is to spare");
    const digest = hash("timed/precommit/v1", join(
      this.chainId, u64(block.epoch), u64(block.height), u32(given.round), Uint8Array.of(1), blockHash(block),
    ));
    for (const [at, place] of places.entries()) {
      ensure(await holds(set[place].key, digest, given.signatures[at]), "a signature of a commit does not hold");
    }
    return shown;
  }

  /** Rule 5. */
  async follow(reader) {
    const [block, given] = [header(reader), commit(reader)];
    const [own, next] = [0, 1].map(() => optional(reader, givenSet));
    ensure(block.ends, "a block is given as its epoch's last one, and is not");
    this.checkHeader(block);
    const set = setOf(block.validators, this.set, own, this.validatorsMax);
    const after = setOf(block.next, set, next, this.validatorsMax);
    await this.checkCommit(block, given, set, this.before);
    [this.before, this.set] = [this.set, after];
    [this.epoch, this.height, this.time] = [block.epoch + 1n, block.height, block.time];
  }

  /** Rule 6. */
  async checkVotes(txid, reader) {
    const votes = reader.list(() => {
      const from = reader.at;
      const head = { epoch: reader.u64(), validator: reader.hash() };
      reader.u64();
      Object.assign(head, { count: reader.u32(), root: reader.hash() });
      head.bytes = reader.bytes.subarray(from, reader.at);
      return { head, signature: reader.take(64), index: reader.u32(), path: reader.list((one) => one.hash()) };
    });
    const places = votes.map(({ head }) => this.set.findIndex((one) => same(one.id, head.validator)));
    ensure(places.every((place) => place >= 0), "a vote is of no member of the set");
    ensure(places.every((place, at) => at === 0 || places[at - 1] < place), "votes are out of order, or given twice");
    const shown = this.weigh(places, this.set, [this.set]);
    for (const [at, { head, signature, index, path }] of votes.entries()) {
      ensure(head.epoch === this.epoch, "a vote of another epoch");
      const end = followPath(join(Uint8Array.of(1), txid), index, head.count, path);
      ensure(end !== null && same(end.root, head.root), "a member did not vote for the payment in the batch that is given");
      ensure(end.first === index, "the place of a vote is not given in its one form");
      const digest = hash("timed/vote/v1", join(this.chainId, head.bytes));
      ensure(await holds(this.set[places[at]].key, digest, signature), "a signature of votes does not hold");
    }
    return shown;
  }

  /** Rule 7. */
  async checkInclusion(txid, reader, transactionsMax) {
    const [block, given] = [header(reader), commit(reader)];
    const [index, leaves, path] = [reader.u32(), reader.u32(), reader.list((one) => one.hash())];
    this.checkHeader(block);
    ensure(block.epoch === this.epoch, "a block of another epoch");
    ensure(BigInt(leaves) <= transactionsMax, "a block with more transactions than one may have");
    const end = followPath(txid, index, leaves, path);
    ensure(end !== null && same(end.root, block.transactions), "the block does not contain the payment as the proof says");
    ensure(end.first === index, "the payment's place is not given in its one form");
    return [block, await this.checkCommit(block, given, this.set, null)];
  }
}

const pastOf = (reader) => ({ block: header(reader), path: reader.list((one) => one.hash()) });
const optional = (reader, read) => (reader.flag() ? read(reader) : null);
const anchorOf = (reader) => ({ block: header(reader), past: optional(reader, pastOf), set: optional(reader, givenSet) });

/**
 * What a proof's bytes prove under a document of `parseGenesis`, as `proves` says it; throws a ProofError otherwise. `trusted` is
 * the block from which it has to start, as "HEIGHT:HASH"; `null` for the document.
 */
export async function verifyProof(genesis, bytes, trusted = null) {
  ensure(unable() === null, unable());
  ensure(bytes.length <= PROOF_BYTES_MAX, "longer than any proof");
  const reader = new Reader(bytes);
  ensure(same(reader.take(MAGIC.length), ascii(MAGIC)), "this is no finality proof");
  ensure(reader.u16() === PROOF_VERSION, "this version of proofs is not known here");
  const [chainId, txid] = [reader.hash(), reader.hash()];
  ensure(same(chainId, genesis.chainId), `it belongs to chain ${toHex(chainId)}; the genesis document starts ${toHex(genesis.chainId)}`);
  const walk = new Walk(genesis);
  const anchor = optional(reader, anchorOf);
  const found = anchor && checkpointOf(anchor.block);
  ensure(anchor === null || found === trusted,
    `it starts from block ${found}; name that block as the one to trust if you know it from elsewhere to be of the chain`);
  ensure(anchor !== null || trusted === null, `it starts from the genesis document, not from block ${trusted}`);
  let links = reader.u64();
  if (anchor) walk.startFrom(anchor, links > 0n);
  for (; links > 0n; links -= 1n) await walk.follow(reader);
  const ending = reader.u32();
  ensure(ending <= 1, `${ending} is no ending of a proof`);
  const [block, shown] = ending === 0 ? [null, await walk.checkVotes(txid, reader)]
    : await walk.checkInclusion(txid, reader, genesis.transactionsMax);
  ensure(reader.at === bytes.length, "something stands behind the proof");
  return {
    chain_id: toHex(chainId),
    txid: toHex(txid),
    trusted: found,
    epoch: Number(walk.epoch),
    height: block && Number(block.height),
    blockhash: block && toHex(blockHash(block)),
    block_time: block && Number(block.time),
    signers: shown.signers,
    validators: walk.set.length,
    signed_weight: Number(shown.weight),
    quorum: Number(quorum(walk.set)),
    total_weight: Number(total(walk.set)),
  };
}

/** The same of an answer of `getfinalityproof` as text, or of its base64 alone. Each member beside the proof has to follow from it. */
export async function verifyText(genesis, text, trusted = null) {
  const trimmed = text.trim();
  let [base64, says] = [trimmed, null];
  if (trimmed.startsWith("{")) {
    let given;
    try {
      given = JSON.parse(trimmed);
    } catch {
      throw new ProofError("this is no finality proof as text");
    }
    const { format, version, proof, proves, ...more } = given;
    ensure(format === PROOF_FORMAT && Object.keys(more).length === 0, "this is no finality proof as text");
    ensure(version === PROOF_VERSION, `version ${version} of proofs is not known here`);
    [base64, says] = [String(proof), proves];
    ensure(typeof says === "object" && says !== null, "the text does not say what it proves");
  }
  let bytes;
  try {
    bytes = ascii(atob(base64));
  } catch {
    throw new ProofError("the proof is not base64");
  }
  ensure(btoa(atob(base64)) === base64, "the base64 is not in its one form");
  const proved = await verifyProof(genesis, bytes, trusted);
  const names = Object.keys(proved);
  ensure(says === null || (Object.keys(says).length === names.length && names.every((name) => says[name] === proved[name])),
    "what the text says of the proof is not what the proof proves");
  return proved;
}
