// The explorer: shows what the node that served this page says, as it says it.

import { ask, call, RpcError } from "./node.js";
import {
  ago, amount, barChart, blockLink, button, bytes, card, count, h, lineChart, link, many, milliseconds, morph, section, table, txLink,
} from "./draw.js";
import { addPool, BLOCKS_SHOWN, live, onNews, perSecond, POLL_MS, readBlocks, readFinals, SECONDS_KEPT, seen } from "./feed.js";
import { address, older } from "./address.js";
import { block, moreTransactions } from "./block.js";
import { masternode, masternodes } from "./masternode.js";
import { check, saveProof, saveReceipt, transaction } from "./transaction.js";
import { checkGiven, checking, takeDrops } from "./check.js";

// Of what subscriptions tell at once; more often than this nobody reads.
const PAUSE_MS = 200;
// How often a view that is told what happens asks for the rest.
const TOLD_POLL_MS = 5000;
const FINALS_SHOWN = 12;
const LATENCIES_SHOWN = 120;

function trouble(text) {
  const line = document.getElementById("trouble");
  line.hidden = !text;
  if (line.textContent !== text) line.textContent = text;
}

const view = document.getElementById("view");

function show(...content) {
  const fresh = view.cloneNode(false);
  fresh.append(...content.flat(Infinity).filter(Boolean));
  morph(view, fresh);
  const title = view.querySelector("h1")?.textContent;
  document.title = title ? `${title} · TIME Coin explorer` : "TIME Coin explorer";
}

function failed(error) {
  show(h("h1", null, "Nothing found"), section(null, h("p", null, error.message),
    error.hint ? h("p", { class: "quiet" }, error.hint) : null));
}

// -- overview ---------------------------------------------------------------------------------------------------------

function middle(numbers) {
  if (numbers.length === 0) return null;
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

function charts(finals) {
  const latencies = finals.map((event) => event.latency_us).filter((us) => us !== null).slice(-LATENCIES_SHOWN);
  const rates = perSecond(SECONDS_KEPT);
  const chart = (title, says, drawing) => h("figure", null, h("figcaption", null, h("b", null, title), h("span", null, says)), drawing);
  const between = (numbers, shown) => `${shown(Math.min(...numbers))} to ${shown(Math.max(...numbers))}`;
  const latency = latencies.length === 0 ? "no payment yet" : `last ${latencies.length}: ${between(latencies, milliseconds)}`;
  const rate = `last minute: ${count(rates.reduce((sum, one) => sum + one, 0))}, at most ${count(Math.max(...rates))} a second`;
  const pool = seen.pool.length === 0 ? "" : `since this page opened: ${between(seen.pool, count)}`;
  return h("div", { class: "charts" },
    chart("Time to final", latency, lineChart(latencies, `Time to final, ${latency}`)),
    chart("Payments a second", rate, barChart(rates, `Payments a second, ${rate}`)),
    chart("Pool", pool, lineChart(seen.pool, `Payments in the pool, ${pool}`)));
}

async function overview(_argument, visit) {
  visit.polls = POLL_MS;
  if (!visit.node || Date.now() - visit.asked >= POLL_MS - PAUSE_MS) {
    const answers = await ask([["getnodestatus"], ["getblockchaininfo"], ["getconsensusinfo"], ["getmempoolinfo"]]);
    for (const answer of answers) if (answer instanceof RpcError) throw answer;
    [visit.node, visit.chain, visit.consensus, visit.pool] = answers;
    visit.asked = Date.now();
    addPool(visit.pool.size);
    await readFinals();
    await readBlocks(visit.chain.blocks);
  }
  const { node, chain, consensus, pool } = visit;
  const all = [...seen.finals.values()];
  const recent = all.filter((event) => event.at > Date.now() - 10000);
  const latency = middle((recent.length > 0 ? recent : all).map((event) => event.latency_us).filter((us) => us !== null));
  const blocks = [...seen.blocks.values()].sort((a, b) => b.height - a.height).slice(0, BLOCKS_SHOWN);
  const finals = all.slice(-FINALS_SHOWN).reverse();
  const tip = Math.max(chain.blocks, blocks[0]?.height ?? 0);
  trouble(node.reasons.join(" · "));
  return [
    h("h1", { class: "unseen" }, "Overview"),
    h("div", { class: "cards" },
      card("Block", blockLink(tip), blocks[0] ? ago(blocks[0].time) : ""),
      card("Final after", latency === null ? "–" : milliseconds(latency), "median, from this node's acceptance"),
      card("Final a second", count(perSecond(10).reduce((sum, one) => sum + one, 0) / 10), "over ten seconds"),
      card("Waiting", count(pool.size), `${count(pool.certified_waiting)} for a block`),
      card("Masternodes", link("masternodes", `${node.masternodes_connected} of ${node.masternodes_total}`), "connected"),
      card("Epoch", count(chain.epoch), consensus.closing ? "ending" : `round ${consensus.round}, ${consensus.step}`),
      card("Supply", count(String(chain.supply_time).split(".")[0]), "TIME")),
    charts(all),
    h("div", { class: "pair" },
      section("Blocks", table([["Height"], ["Payments", "number"], ["Round", "number"], ["When", "wide"]],
        blocks.map((block) => [blockLink(block.height), count(block.transactions), block.round, ago(block.time)]),
        "No block yet.")),
      section("Final payments", table([["Transaction"], ["Amount", "number"], ["After", "number"], ["When", "wide spare"]],
        finals.map((event) => [txLink(event.txid), amount(event.amount_time),
          event.latency_us === null ? "–" : milliseconds(event.latency_us), ago(event.at)]),
        "None since this node started."))),
    chain.chain === "devnet" ? faucet(visit) : null,
  ];
}

/** Coins for the asking, where they are worth nothing. */
function faucet(visit) {
  const { good, text, txid } = visit.given ?? {};
  return section("Faucet",
    h("p", null, h("label", { for: "recipient" }, "100 TIME of this devnet for the address:"),
      h("input", { id: "recipient", class: "line", autocomplete: "off", spellcheck: "false", "data-enter": "give" })),
    h("div", { class: "buttons" }, button("give", "Give")),
    h("p", { id: "given-by-faucet", role: "status", class: good === false ? "bad" : "good" },
      text ?? "", txid ? txLink(txid, true) : null));
}

/** The action of the faucet's button. The node gives to whoever asks from its own page on this machine. */
async function give(visit) {
  const recipient = document.getElementById("recipient").value.trim();
  try {
    visit.given = { good: true, text: "On its way: ", txid: await call("faucet", recipient) };
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    visit.given = { good: false, text: [error.message, error.hint].filter(Boolean).join("; ") };
  }
}

// -- peers ------------------------------------------------------------------------------------------------------------

async function peers(_argument, visit) {
  visit.polls = POLL_MS;
  const all = await call("getpeerinfo");
  return [
    h("h1", null, many(all.length, "peer")),
    section(null, table(
      [["Address"], ["Direction"], ["Program"], ["Ping", "number"], ["Received", "number"], ["Sent", "number"], ["Since", "wide"]],
      all.map((peer) => [peer.addr, peer.inbound ? "in" : "out", peer.subver,
        peer.ping_ms === null ? "–" : `${peer.ping_ms} ms`, bytes(peer.bytesrecv), bytes(peer.bytessent),
        ago(Date.now() - peer.connected_s * 1000)]), "No peer is connected.")),
  ];
}

// -- ways -------------------------------------------------------------------------------------------------------------

const VIEWS = { "": overview, block, tx: transaction, address, masternode, masternodes, peers, check: checking };
// Views that show what the feed brings.
const FED = new Set([overview]);
const ACTIONS = { older, moreTransactions, saveProof, saveReceipt, check, checkGiven, give };

/** One look at one view, until the next one. A view keeps here what it wants to find at the next drawing. */
class Visit {
  #ends = [];
  #wake = () => {};
  #stale = false;
  #keys = new Set();

  constructor() {
    this.over = false;
    /** Milliseconds until it is drawn again by itself; 0 for never. */
    this.polls = 0;
  }

  /** Draws again when the node tells of something under a topic. */
  follow(topic, about) {
    if (this.#keys.has(topic)) return;
    this.#keys.add(topic);
    const subscription = live.follow(topic, about, null, (page) => page.events.length > 0 && this.redraw());
    let was = live.on;
    const changed = () => {
      if (was !== live.on) this.redraw();
      was = live.on;
    };
    this.#ends.push(subscription.stop, onNews(changed));
    this.polls = POLL_MS;
  }

  feeds() {
    this.#ends.push(onNews(() => this.redraw()));
  }

  redraw() {
    this.#stale = true;
    this.#wake();
  }

  /** What is told from here on is not in what is drawn now. */
  drawing() {
    this.#stale = false;
  }

  /** Until it is to be drawn again; `false` when it is over. */
  async wait() {
    const told = this.#keys.size > 0 && live.on;
    const pause = told ? Math.max(this.polls, TOLD_POLL_MS) : this.polls;
    const woken = new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#stale || this.over) resolve();
    });
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    let timer;
    const late = new Promise((resolve) => { if (pause > 0) timer = setTimeout(resolve, pause - PAUSE_MS); });
    await Promise.race([woken, late]);
    clearTimeout(timer);
    return !this.over;
  }

  end() {
    this.over = true;
    this.#ends.forEach((end) => end());
    this.#wake();
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

let visit = new Visit();

async function go() {
  visit.end();
  const mine = new Visit();
  visit = mine;
  const [, name = "", argument = ""] = location.hash.split("/");
  for (const entry of document.querySelectorAll("nav a")) {
    if (entry.getAttribute("href") === `#/${name}`) entry.setAttribute("aria-current", "page");
    else entry.removeAttribute("aria-current");
  }
  const draw = Object.hasOwn(VIEWS, name) ? VIEWS[name] : null;
  const about = decoded(argument);
  if (!draw || about === null) return failed(new Error("There is no such page."));
  if (FED.has(draw)) mine.feeds();
  do {
    if (document.hidden && mine.drawn) continue;
    mine.drawing();
    try {
      const content = await draw(about, mine);
      if (mine.over) return;
      if (name !== "") trouble("");
      show(content);
    } catch (error) {
      if (mine.over) return;
      if (error instanceof RpcError) failed(error);
      else {
        console.error(error);
        trouble("The node does not answer; this page goes on asking.");
        mine.polls ||= POLL_MS;
      }
    }
    mine.drawn = true;
  } while (await mine.wait());
}

/** Where a search leads. */
async function find(query) {
  const text = query.trim();
  if (/^\d{1,15}$/.test(text)) return `block/${text}`;
  if (/^[0-9a-fA-F]{64}$/.test(text)) {
    const hash = text.toLowerCase();
    const [found, status, member] = await ask([["getblockheader", hash], ["gettransactionstatus", hash], ["getmasternode", hash]]);
    if (!(found instanceof RpcError)) return `block/${hash}`;
    if (!(member instanceof RpcError)) return `masternode/${hash}`;
    if (!(status instanceof RpcError) && status.status !== "unknown") return `tx/${hash}`;
    throw new Error("This node knows no block, transaction or masternode of that name.");
  }
  const judged = await call("validateaddress", text);
  if (judged.isvalid) return `address/${judged.address}`;
  throw new Error(`Neither a height nor a hash, and no address: ${judged.error}`);
}

const query = document.getElementById("query");

document.getElementById("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!query.value.trim()) return;
  try {
    const found = `#/${await find(query.value)}`;
    if (location.hash === found) await go();
    else location.hash = found;
  } catch (error) {
    visit.end();
    failed(error);
  }
  view.focus();
});

document.addEventListener("keydown", (event) => {
  const writing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.nodeName);
  if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    query.focus();
    query.select();
  } else if (event.key === "Escape" && event.target === query) {
    query.value = "";
    query.blur();
  }
});

async function act(name) {
  const mine = visit;
  try {
    await ACTIONS[name](mine);
    trouble("");
  } catch (error) {
    trouble(error instanceof RpcError ? [error.message, error.hint].filter(Boolean).join("; ") : "The node does not answer.");
  }
  mine.redraw();
}

view.addEventListener("click", (event) => {
  const name = event.target.closest("[data-do]")?.dataset.do;
  if (name) act(name);
});

view.addEventListener("keydown", (event) => {
  const name = event.target.dataset?.enter;
  if (name && event.key === "Enter") act(name);
});

takeDrops(view, () => visit);

window.addEventListener("hashchange", () => {
  window.scrollTo(0, 0);
  // The next tab key begins where the new content does.
  view.focus({ preventScroll: true });
  go();
});

call("getnodestatus").then((node) => {
  document.getElementById("network").textContent = node.network;
  document.getElementById("about").textContent = `timed ${node.version}${node.name ? ` · ${node.name}` : ""}`;
}).catch(() => {});
// For all views, so that the overview and the sign are up to date from the first look.
readFinals().catch(() => {});
go();
