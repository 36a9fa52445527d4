// Blocks and final payments as they come, for all views: by subscriptions, or asked for while there is no WebSocket.

import { ask, call, Live, RpcError } from "./node.js";

/** How often a view asks for what no subscription tells. */
export const POLL_MS = 1000;
export const BLOCKS_SHOWN = 12;
const FINALS_KEPT = 500;
// What the first request asks for: the charts begin with it.
const FINALS_ASKED = 500;
// A request may cost only so much; what is left comes with the next one.
const HEADERS_ASKED = 8;
export const SECONDS_KEPT = 60;
export const SAMPLES_KEPT = 120;

const listeners = new Set();

/** Blocks by height, final payments by txid (the newest last), final payments by second, sizes of the pool. */
export const seen = { blocks: new Map(), finals: new Map(), seconds: new Map(), pool: [] };

export const live = new Live((on) => {
  const sign = document.getElementById("live");
  sign.dataset.on = on;
  sign.textContent = on ? "live" : "polling";
  sign.title = on ? "The node tells of each block and payment as it comes, by WebSocket."
    : "There is no WebSocket to the node; this page asks every second, and goes on trying.";
  listeners.forEach((heard) => heard());
});

let finals = null;
let reading = null;

/** Hears whenever something came; gives what ends it. */
export function onNews(heard) {
  listeners.add(heard);
  return () => listeners.delete(heard);
}

function addFinals(events) {
  const now = Date.now();
  for (const event of events) {
    // It may be told twice after a pause.
    if (seen.finals.has(event.txid)) continue;
    const at = now - (event.age_us ?? 0) / 1000;
    seen.finals.set(event.txid, { ...event, at });
    // What a block told, after a pause or in a sync, became final nobody knows when.
    if (event.age_us === null || event.state !== "final") continue;
    const second = Math.floor(at / 1000);
    seen.seconds.set(second, (seen.seconds.get(second) ?? 0) + 1);
  }
  for (const txid of seen.finals.keys()) {
    if (seen.finals.size <= FINALS_KEPT) break;
    seen.finals.delete(txid);
  }
  for (const second of seen.seconds.keys()) {
    if (second < now / 1000 - SECONDS_KEPT - 2) seen.seconds.delete(second);
  }
}

function addBlock({ height, transactions, round, time }) {
  seen.blocks.set(height, { height, transactions, round, time });
}

/** Asks for what is final since the last time; the first time subscribes, from the answer's cursor on. */
export function readFinals() {
  if (finals !== null && live.on) return Promise.resolve();
  // One at a time: two would subscribe twice.
  reading ??= readOn().finally(() => { reading = null; });
  return reading;
}

async function readOn() {
  let page;
  try {
    page = await call("getfinalizedsince", finals?.cursor ?? -FINALS_ASKED, 1000);
  } catch (error) {
    // Of another chain, perhaps: a devnet that was made anew.
    if (error instanceof RpcError && finals !== null) finals.cursor = null;
    throw error;
  }
  addFinals(page.events);
  if (finals !== null) {
    if (!live.on) Object.assign(finals, { cursor: page.next_cursor, at: Date.now() });
    return;
  }
  const hear = (take) => (told) => {
    take(told.events);
    listeners.forEach((heard) => heard());
  };
  finals = live.follow("finalized", null, page.next_cursor, hear(addFinals));
  live.follow("blocks", null, page.next_cursor, hear((events) => events.forEach(addBlock)));
}

/** Asks for the headers of the last blocks that nobody told of. */
export async function readBlocks(tip) {
  const newest = Math.max(tip, ...seen.blocks.keys());
  // A tip that fell is another chain.
  if (newest > tip + BLOCKS_SHOWN) seen.blocks.clear();
  const first = Math.max(1, tip - BLOCKS_SHOWN + 1);
  const missing = [];
  for (let height = first; height <= tip; height += 1) {
    if (!seen.blocks.has(height)) missing.push(height);
  }
  if (missing.length > 0) {
    const blocks = await ask(missing.slice(-HEADERS_ASKED).map((height) => ["getblockheader", height]));
    blocks.forEach((block) => block instanceof RpcError || addBlock({ ...block, transactions: block.nTx }));
  }
  for (const height of seen.blocks.keys()) if (height < first) seen.blocks.delete(height);
}

/** Notes how many payments the pool holds. */
export function addPool(size) {
  seen.pool.push(size);
  seen.pool.splice(0, seen.pool.length - SAMPLES_KEPT);
}

/** How many payments became final in each of the last whole seconds, the oldest first. */
export function perSecond(seconds) {
  const now = Math.floor(Date.now() / 1000);
  return Array.from({ length: seconds }, (_, at) => seen.seconds.get(now - seconds + at) ?? 0);
}
