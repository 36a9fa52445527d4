// The explorer: asks the node that served this page, over the same JSON-RPC as everybody, and shows what it says.
//
// Whatever comes from the node is put on the page as text, never as markup.
"use strict";

const POLL_MS = 1000;
const BLOCKS_SHOWN = 12;
const FINALS_SHOWN = 12;
// A request may cost only so much; what is left comes with the next one.
const HEADERS_ASKED = 8;
const OUTPUTS_SHOWN = 100;
const INPUTS_RESOLVED = 20;

// -- the node ---------------------------------------------------------------------------------------------------------

class RpcError extends Error {
  constructor(error) {
    super(error.message);
    this.reason = error.data?.reason ?? "";
    this.hint = error.data?.hint ?? "";
  }
}

/** Makes several calls in one request: `[["getblockcount"], ["getblock", 1]]`; each answer is a result or an RpcError. */
async function ask(calls) {
  const body = calls.map(([method, ...params], id) => ({ jsonrpc: "2.0", id, method, params }));
  const response = await fetch("/", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const answers = await response.json();
  if (!Array.isArray(answers)) throw new RpcError(answers.error ?? { message: `HTTP ${response.status}` });
  const sorted = new Array(calls.length);
  for (const { id, result, error } of answers) sorted[id] = error ? new RpcError(error) : result;
  return sorted;
}

/** One call. */
async function call(method, ...params) {
  const [answer] = await ask([[method, ...params]]);
  if (answer instanceof RpcError) throw answer;
  return answer;
}

// -- the page ---------------------------------------------------------------------------------------------------------

/** An element with attributes and children; texts become text nodes. */
function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== null) element.setAttribute(key, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== undefined && child !== null) element.append(child);
  }
  return element;
}

const link = (to, text, kind) => h("a", { href: `#/${to}`, class: kind }, text);
const short = (hash) => (hash.length > 20 ? `${hash.slice(0, 10)}…${hash.slice(-6)}` : hash);
const count = (number) => Number(number).toLocaleString("en-US");

/** `10000.50000000` as `10,000.5 TIME`. */
function amount(text) {
  const [whole, fraction = ""] = String(text).split(".");
  const rest = fraction.replace(/0+$/, "");
  return `${count(whole)}${rest ? `.${rest}` : ""} TIME`;
}

function ago(ms) {
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(ms).toISOString().replace("T", " ").slice(0, 16);
}

const blockLink = (height) => (height === 0 ? "genesis" : link(`block/${height}`, count(height)));
const many = (number, name) => `${count(number)} ${name}${number === 1 ? "" : "s"}`;
const named = (whole) => (whole ? "hash" : "hash short");
const txLink = (txid, whole) => link(`tx/${txid}`, whole ? txid : short(txid), named(whole));
const addressLink = (address) => link(`address/${address}`, short(address), named(false));

function table(heads, rows, empty) {
  if (rows.length === 0) return h("p", { class: "quiet" }, empty);
  const cell = (content, at) => h("td", { class: heads[at][1] }, content);
  return h("table", null,
    h("thead", null, h("tr", null, heads.map(([text, kind]) => h("th", { scope: "col", class: kind }, text)))),
    h("tbody", null, rows.map((row) => h("tr", null, row.map(cell)))));
}

function facts(entries) {
  const shown = entries.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

const section = (title, ...content) => h("section", null, title ? h("h2", null, title) : null, content);

function card(name, value, note) {
  return h("dl", { class: "card" }, h("dt", null, name), h("dd", null, value, note ? h("small", null, note) : null));
}

function trouble(text) {
  const line = document.getElementById("trouble");
  line.hidden = !text;
  line.textContent = text;
}

function show(...content) {
  document.getElementById("view").replaceChildren(...content.flat(Infinity).filter(Boolean));
}

function failed(error) {
  show(h("h1", null, "Nothing found"), section(null, h("p", null, error.message),
    error.hint ? h("p", { class: "quiet" }, error.hint) : null));
}

// -- overview ---------------------------------------------------------------------------------------------------------

const seen = { blocks: new Map(), finals: [], cursor: null };

function middle(numbers) {
  if (numbers.length === 0) return null;
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

const milliseconds = (us) => `${(us / 1000).toFixed(us < 10000 ? 1 : 0)} ms`;

async function readFinals() {
  const page = await call("getfinalizedsince", seen.cursor ?? -FINALS_SHOWN, 1000);
  seen.cursor = page.next_cursor;
  const now = Date.now();
  const events = page.events.map((event) => ({ ...event, at: now - (event.age_us ?? 0) / 1000 }));
  seen.finals = [...seen.finals, ...events].slice(-1000);
}

async function readBlocks(tip) {
  const first = Math.max(1, tip - BLOCKS_SHOWN + 1);
  const missing = [];
  for (let height = first; height <= tip; height += 1) {
    if (!seen.blocks.has(height)) missing.push(height);
  }
  if (missing.length > 0) {
    const newest = missing.slice(-HEADERS_ASKED);
    const blocks = await ask(newest.map((height) => ["getblockheader", height]));
    blocks.forEach((block) => block instanceof RpcError || seen.blocks.set(block.height, block));
  }
  for (const height of seen.blocks.keys()) {
    if (height < first || height > tip) seen.blocks.delete(height);
  }
}

async function overview() {
  const [node, chain, consensus, pool] = await ask([
    ["getnodestatus"], ["getblockchaininfo"], ["getconsensusinfo"], ["getmempoolinfo"],
  ]);
  for (const answer of [node, chain, consensus, pool]) if (answer instanceof RpcError) throw answer;
  await Promise.all([readBlocks(chain.blocks), readFinals()]);
  const recent = seen.finals.filter((event) => event.at > Date.now() - 10000);
  const latency = middle((recent.length > 0 ? recent : seen.finals).map((event) => event.latency_us).filter((us) => us !== null));
  const blocks = [...seen.blocks.values()].sort((a, b) => b.height - a.height);
  const finals = seen.finals.slice(-FINALS_SHOWN).reverse();
  trouble(node.reasons.join(" · "));
  return [
    h("div", { class: "cards" },
      card("Block", blockLink(chain.blocks), blocks[0] ? ago(blocks[0].time) : ""),
      card("Final after", latency === null ? "–" : milliseconds(latency), "median, from this node's acceptance"),
      card("Final a second", count(recent.length / 10), "over ten seconds"),
      card("Waiting", count(pool.size), `${count(pool.certified_waiting)} for a block`),
      card("Masternodes", `${node.masternodes_connected} of ${node.masternodes_total}`, "connected"),
      card("Epoch", count(chain.epoch), consensus.closing ? "ending" : `round ${consensus.round}, ${consensus.step}`),
      card("Supply", count(String(chain.supply_time).split(".")[0]), "TIME")),
    h("div", { class: "pair" },
      section("Blocks", table([["Height"], ["Payments", "number"], ["Round", "number"], ["When", "wide"]],
        blocks.map((block) => [blockLink(block.height), count(block.nTx), block.round, ago(block.time)]),
        "No block yet.")),
      section("Final payments", table([["Transaction"], ["After", "number"], ["When", "wide"]],
        finals.map((event) => [txLink(event.txid), event.latency_us === null ? "–" : milliseconds(event.latency_us), ago(event.at)]),
        "None since this node started."))),
  ];
}

// -- single things ----------------------------------------------------------------------------------------------------

async function block(id) {
  const name = /^\d{1,15}$/.test(id) ? Number(id) : id;
  const found = await call("getblock", name, 1);
  const commit = await call("getcommit", found.height);
  return [
    h("h1", null, `Block ${count(found.height)}`),
    section(null, facts([
      ["Hash", h("span", { class: "hash" }, found.hash)],
      ["Before it", found.height > 1 ? link(`block/${found.height - 1}`, found.previousblockhash, "hash") : "genesis"],
      ["After it", found.confirmations > 1 ? blockLink(found.height + 1) : "none yet"],
      ["Time", `${new Date(found.time).toISOString()} (${ago(found.time)})`],
      ["Epoch", `${count(found.epoch)}${found.epoch_end ? ", which it ends" : ""}`],
      ["Proposed by", h("span", { class: "hash" }, found.proposer)],
      ["Round", `${found.round}${found.commit_round === found.round ? "" : `, committed in ${found.commit_round}`}`],
      ["Signed by", `${commit.signers.length} masternodes${commit.signed_weight === null ? ""
        : `, weight ${count(commit.signed_weight)}, ${count(commit.quorum)} needed`}`],
      ["Size", `${count(found.size)} bytes`],
      ["State", h("span", { class: "hash" }, found.state_digest)],
    ])),
    section(many(found.nTx, "transaction"),
      table([["Transaction", "wide"]], found.tx.map((txid) => [txLink(txid, true)]), "None.")),
    found.evidence.length === 0 ? null : section("Punished", table([["Kind"], ["Masternode", "wide"]],
      found.evidence.map((piece) => [piece.kind, h("span", { class: "hash" }, piece.masternode)]), "")),
  ];
}

/** What the inputs are worth and whose they were, as far as this node has their transactions. */
async function origins(vin) {
  const asked = vin.slice(0, INPUTS_RESOLVED);
  if (asked.length === 0) return [];
  const parents = await ask(asked.map((name) => ["getrawtransaction", name.split(":")[0], 1]));
  return asked.map((name, at) => {
    const parent = parents[at];
    return parent instanceof RpcError ? null : parent.vout[Number(name.split(":")[1])] ?? null;
  });
}

const words = {
  unknown: "unknown here", pending: "waiting for votes", certified: "certified", final: "final", confirmed: "final, in a block",
};

async function transaction(txid) {
  const [status, raw, explained] = await ask([
    ["gettransactionstatus", txid], ["getrawtransaction", txid, 1], ["explaintransaction", txid],
  ]);
  if (status instanceof RpcError) throw status;
  if (status.status === "unknown" && raw instanceof RpcError) throw raw;
  const content = [
    h("h1", null, "Transaction"),
    section(null, facts([
      ["Txid", h("span", { class: "hash" }, txid)],
      ["State", h("span", { class: status.status === "final" || status.status === "confirmed" ? "good" : "" },
        words[status.status] ?? status.status)],
      ["Final after", status.finality_latency_ms === null ? "" : `${status.finality_latency_ms.toFixed(1)} ms here`],
      ["Block", status.height === null ? "" : [blockLink(status.height), ` (${many(status.confirmations, "confirmation")})`]],
      ["Kind", raw instanceof RpcError ? "" : raw.kind],
      ["Memo", raw instanceof RpcError ? "" : memo(raw.memo)],
      ["Size", raw instanceof RpcError ? "" : `${count(raw.size)} bytes`],
    ])),
  ];
  if (!(explained instanceof RpcError) && explained.votes !== null) {
    const votes = explained.votes;
    content.push(section("Votes", explained.says.map((line) => h("p", null, line)),
      table([["Masternode", "hash short"], ["Weight", "number"], ["Lock"], ["Final"], ["", "wide"]],
        votes.masternodes.map((member) => [short(member.id), count(member.weight), member.lock ? "yes" : "–",
          member.final ? "yes" : "–", member.connected ? "" : h("span", { class: "bad" }, "not connected")]), "")));
    if (votes.conflicts.length > 0) {
      content.push(section("Conflicts", table([["Transaction", "wide"], ["Lock weight", "number"]],
        votes.conflicts.map((rival) => [txLink(rival.txid, true), count(rival.lock_weight)]), "")));
    }
  }
  if (!(raw instanceof RpcError)) {
    const from = await origins(raw.vin);
    content.push(h("div", { class: "pair" },
      section("Spends", table([["Output", "wide"], ["Amount", "number"]], raw.vin.map((name, at) => [
        [txLink(name.split(":")[0]), `:${name.split(":")[1]} `, from[at] ? addressLink(from[at].address) : ""],
        from[at] ? amount(from[at].value_time) : ""]), "Nothing: its coins are new.")),
      section("Pays", table([["Address", "wide"], ["Amount", "number"]],
        raw.vout.map((output) => [addressLink(output.address), amount(output.value_time)]), "Nobody."))));
  }
  return content;
}

/** A memo as text where it is one, else in hexadecimal. */
function memo(hex) {
  if (!hex) return "";
  const bytes = Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return /^[^\p{C}]+$/u.test(text) ? text : hex;
  } catch {
    return hex;
  }
}

async function address(text) {
  const [balance, page] = await ask([["getaddressbalance", text], ["getaddressutxos", text, OUTPUTS_SHOWN]]);
  for (const answer of [balance, page]) if (answer instanceof RpcError) throw answer;
  const more = page.next ? ` (the first ${count(page.utxos.length)})` : "";
  return [
    h("h1", null, "Address"),
    section(null, facts([
      ["Address", h("span", { class: "hash" }, text)],
      ["Total", amount(balance.total_time)],
      ["Spendable", amount(balance.spendable_time)],
      ["Collateral", balance.bound === 0 ? "" : amount(balance.bound_time)],
    ])),
    section(`${many(balance.utxo_count, "unspent output")}${more}`,
      table([["Transaction"], ["Amount", "number"], ["Block", "number"], ["", "wide"]],
        page.utxos.map((utxo) => [[txLink(utxo.txid), `:${utxo.vout}`], amount((utxo.value / 1e8).toFixed(8)),
          utxo.height === null ? "–" : blockLink(utxo.height),
          utxo.bound ? "collateral" : utxo.spendable ? "" : "being spent"]), "None.")),
  ];
}

async function masternodes() {
  const [all, heartbeats] = await ask([["masternodelist"], ["getheartbeats"]]);
  for (const answer of [all, heartbeats]) if (answer instanceof RpcError) throw answer;
  const heard = new Map(heartbeats.map((beat) => [beat.masternode, beat.heard_ms]));
  return [
    h("h1", null, many(all.length, "masternode")),
    section(null, table(
      [["Masternode"], ["State"], ["Tier"], ["Weight", "number"], ["Heard"], ["Connected"], ["Address", "wide"]],
      all.map((one) => [h("span", { class: "hash short", title: one.id }, short(one.id)),
        h("span", { class: one.state === "active" ? "good" : "bad" }, one.jailed ? `${one.state} (${one.jailed})` : one.state),
        one.tier ?? "–", count(one.effective_weight), heard.has(one.id) ? ago(heard.get(one.id)) : "–",
        one.connected ? "yes" : h("span", { class: "bad" }, "no"), one.address]), "None.")),
  ];
}

async function peers() {
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

function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, at] = [number, 0];
  while (value >= 1000 && at < units.length - 1) [value, at] = [value / 1000, at + 1];
  return `${value.toFixed(at === 0 || value >= 100 ? 0 : 1)} ${units[at]}`;
}

// -- ways -------------------------------------------------------------------------------------------------------------

const VIEWS = { "": overview, block, tx: transaction, address, masternodes, peers };
const LIVE = new Set(["", "masternodes", "peers", "tx"]);
let turn = 0;

async function go() {
  const [, view = "", argument = ""] = location.hash.split("/");
  const mine = ++turn;
  for (const entry of document.querySelectorAll("nav a")) {
    if (entry.getAttribute("href") === `#/${view}`) entry.setAttribute("aria-current", "page");
    else entry.removeAttribute("aria-current");
  }
  const draw = VIEWS[view];
  if (!draw) return failed(new Error("There is no such page."));
  let first = true;
  while (mine === turn) {
    if (first || !document.hidden) {
      try {
        const content = await draw(decodeURIComponent(argument));
        if (mine !== turn) return;
        if (view !== "") trouble("");
        show(content);
      } catch (error) {
        if (mine !== turn) return;
        if (error instanceof RpcError) failed(error);
        else trouble("The node does not answer; this page goes on asking.");
      }
    }
    first = false;
    if (!LIVE.has(view)) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Where a search leads. */
async function find(query) {
  const text = query.trim();
  if (/^\d{1,15}$/.test(text)) return `block/${text}`;
  if (/^[0-9a-fA-F]{64}$/.test(text)) {
    const hash = text.toLowerCase();
    const [found, status] = await ask([["getblockheader", hash], ["gettransactionstatus", hash]]);
    if (!(found instanceof RpcError)) return `block/${hash}`;
    if (!(status instanceof RpcError) && status.status !== "unknown") return `tx/${hash}`;
    throw new Error("This node knows no block and no transaction of that name.");
  }
  const judged = await call("validateaddress", text);
  if (judged.isvalid) return `address/${judged.address}`;
  throw new Error(`Neither a height nor a hash, and no address: ${judged.error}`);
}

document.getElementById("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  const query = document.getElementById("query").value;
  if (!query.trim()) return;
  try {
    location.hash = `#/${await find(query)}`;
  } catch (error) {
    turn += 1;
    failed(error);
  }
});

window.addEventListener("hashchange", go);
call("getnodestatus").then((node) => {
  document.getElementById("network").textContent = node.network;
  document.getElementById("about").textContent = `timed ${node.version}${node.name ? ` · ${node.name}` : ""}`;
}).catch(() => {});
go();
