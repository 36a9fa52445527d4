// BLAKE3 with 32 bytes of output, without a key: what `src/types/wire.md` hashes with.

const IV = Uint32Array.of(
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
);
const ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const [CHUNK_START, CHUNK_END, PARENT, ROOT] = [1, 2, 4, 8];
const [BLOCK, CHUNK] = [64, 1024];

function mix(v, a, b, c, d, x, y) {
  const turn = (word, bits) => (word >>> bits) | (word << (32 - bits));
  v[a] += v[b] + x;
  v[d] = turn(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = turn(v[b] ^ v[c], 12);
  v[a] += v[b] + y;
  v[d] = turn(v[d] ^ v[a], 8);
  v[c] += v[d];
  v[b] = turn(v[b] ^ v[c], 7);
}

/** The chaining value after one block of 16 words; `number` is the chunk's. */
function compress(before, words, number, length, flags) {
  const v = new Uint32Array(16);
  v.set(before);
  v.set(IV.subarray(0, 4), 8);
  v[12] = number % 0x100000000;
  v[13] = Math.floor(number / 0x100000000);
  v[14] = length;
  v[15] = flags;
  let m = words;
  for (let round = 0; round < 7; round += 1) {
    if (round > 0) m = ORDER.map((from) => m[from]);
    mix(v, 0, 4, 8, 12, m[0], m[1]);
    mix(v, 1, 5, 9, 13, m[2], m[3]);
    mix(v, 2, 6, 10, 14, m[4], m[5]);
    mix(v, 3, 7, 11, 15, m[6], m[7]);
    mix(v, 0, 5, 10, 15, m[8], m[9]);
    mix(v, 1, 6, 11, 12, m[10], m[11]);
    mix(v, 2, 7, 8, 13, m[12], m[13]);
    mix(v, 3, 4, 9, 14, m[14], m[15]);
  }
  return Uint32Array.from({ length: 8 }, (_, at) => v[at] ^ v[at + 8]);
}

function words(bytes) {
  const padded = new Uint8Array(BLOCK);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  return Array.from({ length: 16 }, (_, at) => view.getUint32(4 * at, true));
}

function chunk(bytes, number, root) {
  let value = IV;
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK));
  for (let at = 0; at < blocks; at += 1) {
    const block = bytes.subarray(at * BLOCK, (at + 1) * BLOCK);
    const last = at === blocks - 1 ? CHUNK_END | root : 0;
    value = compress(value, words(block), number, block.length, (at === 0 ? CHUNK_START : 0) | last);
  }
  return value;
}

/** The left part of a tree is the largest power of two of whole chunks that leaves something to the right. */
function tree(bytes, number, root) {
  if (bytes.length <= CHUNK) return chunk(bytes, number, root);
  let left = CHUNK;
  while (2 * left < bytes.length) left *= 2;
  const children = [...tree(bytes.subarray(0, left), number, 0), ...tree(bytes.subarray(left), number + left / CHUNK, 0)];
  return compress(IV, children, 0, BLOCK, PARENT | root);
}

/** The hash of a Uint8Array. */
export function blake3(bytes) {
  const out = new DataView(new ArrayBuffer(32));
  tree(bytes, 0, ROOT).forEach((word, at) => out.setUint32(4 * at, word, true));
  return new Uint8Array(out.buffer);
}
