// Reads a genesis document: the chain that it starts, and the first set. It follows sections 3 and 7 of `src/types/wire.md`.

import { ascii, counted, ensure, hash, join, list, ofHex, u32, u64 } from "./bytes.js";

const NETWORKS = [["mainnet", "time"], ["testnet", "ttime"], ["devnet", "dtime"]];
const INTEGER_MAX = (1n << 63n) - 1n;

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
