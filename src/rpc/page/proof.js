// Checks a finality proof in the browser, with the genesis document alone. It follows `src/types/wire.md`; "section" is one
// of that page. No node is asked.
//
// Signatures are checked by the browser's own Ed25519, which is stricter than ZIP 215: a validator that crafts its
// signatures can make a proof that `timed verify-proof` accepts and this check refuses, never the other way round.

import { blake3 } from "./blake3.js";

const PROOF_BYTES_MAX = 12 << 20;
const MAGIC = "timed/finality-proof";
const VERSION = 2;
const FORMAT = "timed finality proof";
const NETWORKS = [["mainnet", "time"], ["testnet", "ttime"], ["devnet", "dtime"]];
const INTEGER_MAX = (1n << 63n) - 1n;

/** Why a proof, or a document, is refused. */
export class ProofError extends Error {}

export function ensure(holds, rule) {
  if (!holds) throw new ProofError(rule);
}

// -- bytes: section 1 -------------------------------------------------------------------------------------------------

const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function ofHex(text, length) {
  ensure(/^([0-9a-f]{2})*$/.test(text) && (length === undefined || text.length === 2 * length), `${text} is no hexadecimal of its length`);
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

function join(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function integer(value, size) {
  let rest = BigInt(value);
  const out = new Uint8Array(size);
  for (let at = 0; at < size; at += 1) {
    out[at] = Number(rest & 255n);
    rest >>= 8n;
  }
  ensure(rest === 0n, `${value} does not fit its ${size} bytes`);
  return out;
}

const u32 = (value) => integer(value, 4);
const u64 = (value) => integer(value, 8);
const list = (items, encode) => join(u64(items.length), ...items.map(encode));
const counted = (bytes) => join(u64(bytes.length), bytes);

export class Reader {
  constructor(bytes, what = "the proof") {
    this.bytes = bytes;
    this.what = what;
    this.at = 0;
  }

  take(size) {
    ensure(size <= this.bytes.length - this.at, `${this.what} ends too early`);
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  number(size) {
    return this.take(size).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  }

  u16() { return Number(this.number(2)); }
  u32() { return Number(this.number(4)); }
  u64() { return this.number(8); }
  hash() { return this.take(32); }

  flag() {
    const [byte] = this.take(1);
    ensure(byte <= 1, `${byte} is no flag`);
    return byte === 1;
  }

  /** Each item has a byte at least, so no count makes this longer than the proof. */
  list(item) {
    const length = this.u64();
    ensure(length <= BigInt(this.bytes.length - this.at), `a list is longer than ${this.what}`);
    return Array.from({ length: Number(length) }, () => item(this));
  }
}

// -- hashes, paths, sets: sections 2, 4, 7 ----------------------------------------------------------------------------

/** The hash of some content under the tag of its kind. */
export const hash = (tag, content) => blake3(join(Uint8Array.of(tag.length), ascii(tag), content));

const leaf = (bytes) => hash("timed/leaf/v1", bytes);
const node = (left, right) => hash("timed/node/v1", join(left, right));

/** The root that a path leads to, and the first place that it fits; `null` if it has another length. */
export function followPath(bytes, index, leaves, path) {
  if (index >= leaves) return null;
  let [here, place, width, first, span, used] = [leaf(bytes), index, leaves, index, 1, 0];
  while (width > 1) {
    const right = place % 2 === 1;
    if (right || place + 1 < width) {
      const sibling = path[used];
      if (!sibling) return null;
      used += 1;
      if (right && same(sibling, here)) first -= span;
      here = right ? node(sibling, here) : node(here, sibling);
    }
    [place, width, span] = [Math.floor(place / 2), Math.ceil(width / 2), span * 2];
  }
  return used === path.length ? { root: hash("timed/root/v1", join(u64(leaves), here)), first } : null;
}

const setHash = (members) =>
  hash("timed/set/v1", list(members, (member) => join(member.id, member.key, u64(member.weight))));
const sum = (weights) => weights.reduce((all, weight) => all + weight, 0n);
const total = (members) => sum(members.map(({ weight }) => weight));
const quorum = (members) => (2n * total(members)) / 3n + 1n;

// -- the genesis document: sections 3 and 7 ---------------------------------------------------------------------------

/** The parts of TOML that a genesis document needs: tables, lists of tables, integers and texts. Anything else is refused. */
function parseToml(text) {
  const root = new Map();
  let here = root;
  const step = (table, name, line) => {
    if (!table.has(name)) table.set(name, new Map());
    const next = table.get(name);
    const inner = Array.isArray(next) ? next.at(-1) : next;
    ensure(inner instanceof Map, `line ${line}: ${name} is no table`);
    return inner;
  };
  text.split(/\r?\n/).forEach((content, at) => {
    const line = at + 1;
    const trimmed = content.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return;
    const head = /^(\[\[?)\s*([\w-]+(?:\.[\w-]+)*)\s*(\]\]?)\s*(#.*)?$/.exec(trimmed);
    if (head && head[1].length === head[3].length) {
      const path = head[2].split(".");
      const last = path.pop();
      const above = path.reduce((table, name) => step(table, name, line), root);
      here = new Map();
      if (head[1] === "[[") {
        if (!above.has(last)) above.set(last, []);
        ensure(Array.isArray(above.get(last)), `line ${line}: ${last} is no list`);
        above.get(last).push(here);
      } else {
        ensure(!above.has(last), `line ${line}: ${last} stands twice`);
        above.set(last, here);
      }
      return;
    }
    const pair = /^([\w-]+)\s*=\s*(?:(\d+(?:_\d+)*)|"([^"\\]*)"|'([^']*)'|(\[\s*\]))\s*(#.*)?$/.exec(trimmed);
    ensure(pair, `line ${line} is not one that a genesis document has: a table, an integer or a text in quotes`);
    const [, name, number, quoted, literal, nothing] = pair;
    ensure(!here.has(name), `line ${line}: ${name} stands twice`);
    if (nothing !== undefined) here.set(name, []);
    else here.set(name, number === undefined ? quoted ?? literal : BigInt(number.replaceAll("_", "")));
  });
  return root;
}

/** Takes members out of a table one by one, so that what is left over shows. */
class Table {
  constructor(members, name) {
    ensure(members instanceof Map, `the document has no table ${name}`);
    this.members = new Map(members);
    this.name = name;
  }

  take(name) {
    const value = this.members.get(name);
    this.members.delete(name);
    return value;
  }

  integer(name) {
    const value = this.take(name);
    ensure(typeof value === "bigint" && value <= INTEGER_MAX, `${this.name} has no integer ${name}`);
    return value;
  }

  text(name) {
    const value = this.take(name);
    ensure(typeof value === "string", `${this.name} has no text ${name}`);
    return value;
  }

  table(name) {
    return new Table(this.take(name), `${this.name}.${name}`);
  }

  tables(name) {
    const value = this.take(name) ?? [];
    ensure(Array.isArray(value), `${this.name} has no list ${name}`);
    return value.map((one) => new Table(one, name));
  }

  /** `made` out of this table, of which nothing may be left. */
  all(made) {
    const [left] = this.members.keys();
    ensure(left === undefined, `${this.name} has an unknown ${left}`);
    return made;
  }
}

const LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

function polymod(values) {
  const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  return values.reduce((sum, value) => {
    const top = sum >>> 25;
    return generator.reduce((mixed, term, bit) => ((top >>> bit) & 1 ? mixed ^ term : mixed), ((sum & 0x1ffffff) << 5) ^ value);
  }, 1);
}

/** The prefix of a network's addresses. */
export const prefixOf = (network) => NETWORKS.find(([name]) => name === network)[1];

/** The lock behind an address: bech32m (BIP 350) of a byte 0 and the key's hash. */
export function lockOf(address, prefix) {
  const wrong = `${address} is no address of this network`;
  const text = address.toLowerCase();
  ensure(address === text || address === address.toUpperCase(), wrong);
  ensure(text.startsWith(`${prefix}1`), wrong);
  const values = Array.from(text.slice(prefix.length + 1), (letter) => LETTERS.indexOf(letter));
  ensure(values.every((value) => value >= 0), wrong);
  const spread = [...ascii(prefix)];
  const checked = [...spread.map((code) => code >> 5), 0, ...spread.map((code) => code & 31), ...values];
  ensure(polymod(checked) === 0x2bc830a3, wrong);
  const data = [];
  let [bits, held] = [0, 0];
  for (const value of values.slice(0, -6)) {
    bits = ((bits << 5) | value) & 0xfff;
    held += 5;
    if (held >= 8) {
      held -= 8;
      data.push((bits >> held) & 255);
    }
  }
  ensure(held < 5 && (bits & ((1 << held) - 1)) === 0 && data.length === 33 && data[0] === 0, wrong);
  return join(u32(0), Uint8Array.from(data.slice(1)));
}

/** A genesis document by its text: its chain id, its set of epoch 0, and the bounds that a proof is held to. */
export function parseGenesis(text) {
  const document = new Table(parseToml(text), "the document");
  const name = document.text("network");
  const network = NETWORKS.findIndex(([known]) => known === name);
  ensure(network >= 0, `${name} is no network`);
  const lock = (table, member) => lockOf(table.text(member), NETWORKS[network][1]);
  const time = document.integer("time_ms");
  const parameters = document.table("parameters");
  const longs = (...names) => names.map((one) => u64(parameters.integer(one)));
  const pair = (one, [first, second]) => {
    const table = parameters.table(one);
    return table.all(join(u64(table.integer(first)), u64(table.integer(second))));
  };
  const before = longs("block_interval_ms", "min_block_gap_ms", "epoch_duration_ms");
  const leastMasternodes = u32(parameters.integer("min_masternodes"));
  const validatorsMax = parameters.integer("max_validators");
  const amounts = longs("block_reward", "min_fee_per_kb", "block_bytes_max");
  const transactionsMax = parameters.integer("block_transactions_max");
  const bounds = longs("block_trigger", "voted_unblocked_max", "voted_unblocked_bytes_max", "unbonding_time_ms");
  const ratios = ["slash_fraction", "max_missed", "jail_cap"].map((one) => pair(one, ["numerator", "denominator"]));
  const recent = u32(parameters.integer("recent_commits"));
  const timeouts = ["timeout_propose", "timeout_prevote", "timeout_precommit"].map((one) => pair(one, ["base_ms", "step_ms"]));
  const weights = new Map();
  const tiers = list(parameters.tables("tiers"), (tier) => {
    const [title, collateral, weight] = [tier.text("name"), tier.integer("collateral"), tier.integer("weight")];
    weights.set(collateral, weight);
    return tier.all(join(counted(new TextEncoder().encode(title)), u64(collateral), u64(weight)));
  });
  const encoded = parameters.all(join(
    ...before, leastMasternodes, u32(validatorsMax), ...amounts, u64(transactionsMax), ...bounds, ...ratios, recent, ...timeouts, tiers,
  ));
  const coins = document.tables("allocations").map((coin) => coin.all(join(lock(coin, "address"), u64(coin.integer("amount")))));
  const masternodes = document.tables("masternodes").map((one) => {
    const [collateral, owner] = [one.integer("collateral"), lock(one, "owner")];
    const [key, payout] = [ofHex(one.text("operator_key"), 32), lock(one, "payout")];
    const address = counted(new TextEncoder().encode(one.text("network_address")));
    ensure(weights.has(collateral), `no tier has the collateral ${collateral}`);
    return one.all({ key, weight: weights.get(collateral), bytes: join(u64(collateral), owner, key, payout, address) });
  });
  const body = document.all(join(
    u32(network), u64(time), encoded, list(coins, (coin) => coin), list(masternodes, (one) => one.bytes),
  ));
  ensure(masternodes.length > 0 && BigInt(masternodes.length) <= validatorsMax, "the document has no masternode, or too many");
  const chainId = hash("timed/genesis/v1", body);
  const set = masternodes.map(({ key, weight }, place) => ({
    id: hash("timed/masternode/v1", join(chainId, u32(coins.length + place))), key, weight,
  }));
  set.sort((a, b) => Number(b.weight - a.weight));
  return { network: name, chainId, set, time, validatorsMax, transactionsMax };
}

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
  const [, , transactions, , , , validators, next] = Array.from({ length: 9 }, () => reader.hash());
  return Object.assign(made, { transactions, validators, next, bytes: reader.bytes.subarray(from, reader.at) });
}

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
      this.chainId, u64(block.epoch), u64(block.height), u32(given.round), Uint8Array.of(1), hash("timed/block/v1", block.bytes),
    ));
    for (const [at, place] of places.entries()) {
      ensure(await holds(set[place].key, digest, given.signatures[at]), "a signature of a commit does not hold");
    }
    return shown;
  }

  /** Rule 5. */
  async follow(reader) {
    const [block, given] = [header(reader), commit(reader)];
    const [own, next] = [0, 1].map(() => (reader.flag() ? givenSet(reader) : null));
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

/** What a proof's bytes prove under a document of `parseGenesis`, as `proves` says it; throws a ProofError otherwise. */
export async function verifyProof(genesis, bytes) {
  ensure(unable() === null, unable());
  ensure(bytes.length <= PROOF_BYTES_MAX, "longer than any proof");
  const reader = new Reader(bytes);
  ensure(same(reader.take(MAGIC.length), ascii(MAGIC)), "this is no finality proof");
  ensure(reader.u16() === VERSION, "this version of proofs is not known here");
  const [chainId, txid] = [reader.hash(), reader.hash()];
  ensure(same(chainId, genesis.chainId), `it belongs to chain ${toHex(chainId)}; the genesis document starts ${toHex(genesis.chainId)}`);
  const walk = new Walk(genesis);
  for (let links = reader.u64(); links > 0n; links -= 1n) await walk.follow(reader);
  const ending = reader.u32();
  ensure(ending <= 1, `${ending} is no ending of a proof`);
  const [block, shown] = ending === 0 ? [null, await walk.checkVotes(txid, reader)]
    : await walk.checkInclusion(txid, reader, genesis.transactionsMax);
  ensure(reader.at === bytes.length, "something stands behind the proof");
  return {
    chain_id: toHex(chainId),
    txid: toHex(txid),
    epoch: Number(walk.epoch),
    height: block && Number(block.height),
    blockhash: block && toHex(hash("timed/block/v1", block.bytes)),
    block_time: block && Number(block.time),
    signers: shown.signers,
    validators: walk.set.length,
    signed_weight: Number(shown.weight),
    quorum: Number(quorum(walk.set)),
    total_weight: Number(total(walk.set)),
  };
}

/** The same of an answer of `getfinalityproof` as text, or of its base64 alone. Each member beside the proof has to follow from it. */
export async function verifyText(genesis, text) {
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
    ensure(format === FORMAT && Object.keys(more).length === 0, "this is no finality proof as text");
    ensure(version === VERSION, `version ${version} of proofs is not known here`);
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
  const proved = await verifyProof(genesis, bytes);
  const names = Object.keys(proved);
  ensure(says === null || (Object.keys(says).length === names.length && names.every((name) => says[name] === proved[name])),
    "what the text says of the proof is not what the proof proves");
  return proved;
}
