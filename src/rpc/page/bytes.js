// What a proof is read by and hashed with. It follows `src/types/wire.md`; "section" is one of that page.

import { blake3 } from "./blake3.js";

/** Why a proof, or a document, is refused. */
export class ProofError extends Error {}

export function ensure(holds, rule) {
  if (!holds) throw new ProofError(rule);
}

// -- bytes: section 1 -------------------------------------------------------------------------------------------------

export const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function ofHex(text, length) {
  ensure(/^([0-9a-f]{2})*$/.test(text) && (length === undefined || text.length === 2 * length), `${text} is no hexadecimal of its length`);
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

export function join(...parts) {
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

export const u32 = (value) => integer(value, 4);
export const u64 = (value) => integer(value, 8);
export const list = (items, encode) => join(u64(items.length), ...items.map(encode));
export const counted = (bytes) => join(u64(bytes.length), bytes);

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

// -- hashes and paths: sections 2 and 4 -------------------------------------------------------------------------------

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
