// One transaction: how far it has come, what it moves, and the proof that it is final.

import { ask, call, callText, RpcError } from "./node.js";
import { addressLink, amount, blockLink, button, count, facts, h, many, masternodeLink, section, table, txLink } from "./draw.js";
import { words } from "./address.js";
import { judge, verdictLines } from "./check.js";
import { ProofError } from "./bytes.js";
import { verifyText } from "./proof.js";

const INPUTS_SHOWN = 20;
const OUTPUTS_ASKED = 20;

/** A memo as text where it is one, else in hexadecimal; one that is encrypted to the receiver is named so. */
function memo(hex) {
  if (!hex) return "";
  if (hex.startsWith("ff01") && hex.length >= 100) return "encrypted: the receiver alone can read it";
  const bytes = Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return /^[^\p{C}]+$/u.test(text) ? text : hex;
  } catch {
    return hex;
  }
}

/** What became of the outputs, of the first ones. */
async function fates(txid, vout) {
  const asked = vout.slice(0, OUTPUTS_ASKED);
  if (asked.length === 0) return [];
  return ask(asked.map((output) => ["getutxostate", txid, output.n]));
}

const FATES = {
  unspent: "unspent", locked: "being spent", spent_pending: "being spent", spent_finalized: "spent", confirmed: "spent", unknown: "–",
};

function fate(state) {
  if (!state || state instanceof RpcError) return "";
  const text = FATES[state.state] ?? state.state;
  return state.spender ? h("a", { href: `#/tx/${state.spender}`, title: state.spender }, text) : text;
}

// -- its way ----------------------------------------------------------------------------------------------------------

const clock = (ms) => new Date(ms).toISOString().slice(11, 23);

/** From the coins that it spends to the block that contains it. */
function way(status, isReward, blockTime) {
  const reached = ["pending", "certified", "final", "confirmed"].indexOf(status.status);
  const after = (from, to) => (from !== null && to !== null && to >= from ? `+${to - from} ms` : "");
  const { accepted_ms: accepted, certified_ms: certified, final_ms: final } = status;
  const stations = [
    ["Unspent", isReward ? "new coins" : "the coins it spends", ""],
    ["Accepted", accepted === null ? "" : clock(accepted), ""],
    ["Certified", certified === null ? "" : clock(certified), after(accepted, certified)],
    ["Final", final === null ? "" : clock(final), after(accepted, final)],
    ["Confirmed", status.height === null ? "" : ["block ", blockLink(status.height)], blockTime === null ? "" : clock(blockTime)],
  ];
  const shown = stations.map(([name, when, more], at) => {
    const done = at === 0 || reached >= at - 1;
    return h("li", { class: done ? "done" : "", "aria-current": at === reached + 1 ? "step" : null },
      h("b", null, name), h("span", null, when || (done ? "not seen here" : "not yet")), more ? h("small", null, more) : null);
  });
  if (status.status === "conflicted") {
    shown.splice(2, 3, h("li", { class: "lost", "aria-current": "step" }, h("b", null, "Conflicted"),
      h("span", null, status.winner ? ["its coin went to ", txLink(status.winner)] : "another transaction has its coin")));
  }
  return section("From unspent to confirmed", h("ol", { class: "way" }, shown),
    h("p", { class: "quiet" }, "Times are this node's, in UTC; a node that started later has not seen them."));
}

// -- its proof --------------------------------------------------------------------------------------------------------

function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

/** The actions of the buttons. */
export const saveProof = async ({ txid }) => save(`proof-${txid.slice(0, 8)}.json`, await callText("getfinalityproof", txid));
export const saveReceipt = async ({ txid }) => save(`receipt-${txid.slice(0, 8)}.json`, await callText("getreceipt", txid));

/** Checks the proof in this browser; the verdict stands in `visit.verdict`. */
export async function check(visit) {
  visit.verdict = { text: "Checking …" };
  visit.redraw();
  visit.verdict = await judge(document.getElementById("genesis")?.files[0], async (genesis) => {
    const proved = await verifyText(genesis, await callText("getfinalityproof", visit.txid));
    if (proved.txid !== visit.txid) throw new ProofError(`it is of another transaction, ${proved.txid}`);
    return { proved };
  });
}

function proof(status, visit) {
  if (status.status !== "final" && status.status !== "confirmed") {
    return section("Proof", h("p", { class: "quiet" }, "There is one as soon as the transaction is final."));
  }
  return section("Proof",
    h("p", null, "Anybody who has the genesis document can check that this is final, without a node."),
    h("div", { class: "buttons" },
      button("saveProof", "Save proof"), button("saveReceipt", "Save receipt"), button("check", "Check it here")),
    h("p", null, h("label", { for: "genesis" }, "Check it with this genesis document (the node's own, where none is chosen):"),
      h("input", { id: "genesis", type: "file" })),
    h("div", { id: "verdict", role: "status" }, verdictLines(visit.verdict)));
}

// -- all of it --------------------------------------------------------------------------------------------------------

function votesOf(explained) {
  if (explained instanceof RpcError || explained.votes === null) return [];
  const votes = explained.votes;
  return [
    section("Votes", explained.says.map((line) => h("p", null, line)), h("p", null, explained.next),
      table([["Masternode"], ["Weight", "number"], ["Lock"], ["Final"], ["", "wide"]],
        votes.masternodes.map((member) => [masternodeLink(member.id), count(member.weight), member.lock ? "yes" : "–",
          member.final ? "yes" : "–", member.connected ? "" : h("span", { class: "bad" }, "not connected")]), "")),
    votes.waits_for.length === 0 ? null : section("Waits for", table([["Output that does not exist yet", "wide"]],
      votes.waits_for.map((name) => [[txLink(name.split(":")[0], true), `:${name.split(":")[1]}`]]), "")),
    votes.conflicts.length === 0 ? null : section("Conflicts", table([["Transaction", "wide"], ["Lock weight", "number"]],
      votes.conflicts.map((rival) => [txLink(rival.txid, true), count(rival.lock_weight)]), "")),
  ];
}

function moves(raw, states) {
  const left = raw.vin.length - INPUTS_SHOWN;
  return h("div", { class: "pair" },
    section(`Spends ${many(raw.vin.length, "output")}`,
      table([["Output", "spare"], ["Of", "wide"], ["Amount", "number"]], raw.vin.slice(0, INPUTS_SHOWN).map((spent) => [
        [txLink(spent.txid), `:${spent.vout}`],
        spent.address === null ? h("span", { class: "quiet" }, "not known here") : addressLink(spent.address),
        spent.value_time === null ? "" : amount(spent.value_time)]), "Its coins are new."),
      left > 0 ? h("p", { class: "quiet" }, `and ${count(left)} more`) : null),
    section(`Makes ${many(raw.vout.length, "output")}`,
      table([["Address"], ["Amount", "number"], ["", "wide"]],
        raw.vout.map((output, at) => [addressLink(output.address), amount(output.value_time), fate(states[at])]), "None.")));
}

export async function transaction(txid, visit) {
  visit.txid = txid.toLowerCase();
  visit.follow("transaction", visit.txid);
  const [status, raw, explained] = await ask([
    ["gettransactionstatus", txid], ["getrawtransaction", txid, 1], ["explaintransaction", txid],
  ]);
  if (status instanceof RpcError) throw status;
  if (status.status === "unknown" && raw instanceof RpcError) {
    const { chain_id: genesis } = await call("getblockchaininfo");
    if (genesis !== visit.txid) throw raw;
    return [h("h1", null, "Genesis document"),
      section(null, facts([["Hash", h("span", { class: "hash" }, genesis)]]),
        h("p", null, "The chain begins with this document. It made the first coins; no payment did."))];
  }
  const known = raw instanceof RpcError ? null : raw;
  const [states, header] = await Promise.all([
    known ? fates(txid, known.vout) : [],
    status.height === null ? null : call("getblockheader", status.height),
  ]);
  return [
    h("h1", null, "Transaction"),
    section(null, facts([
      ["Txid", h("span", { class: "hash" }, txid)],
      ["State", h("span", { class: { final: "good", confirmed: "good", conflicted: "bad" }[status.status] ?? "" },
        words[status.status] ?? status.status)],
      ["Has its coin", status.winner ? txLink(status.winner, true) : ""],
      ["Final after", status.finality_latency_ms === null ? "" : `${status.finality_latency_ms.toFixed(1)} ms here`],
      ["Block", status.height === null ? "" : [blockLink(status.height), ` (${many(status.confirmations, "confirmation")})`]],
      ["Kind", known?.kind],
      ["Masternode", known?.masternode ? masternodeLink(known.masternode.id, true) : ""],
      ["Memo", known ? memo(known.memo) : ""],
      ["Fee", known && known.fee_time !== null ? amount(known.fee_time) : ""],
      ["Size", known ? `${count(known.size)} bytes` : ""],
    ])),
    way(status, known?.kind === "reward", header?.time ?? null),
    votesOf(explained),
    known ? moves(known, states) : null,
    proof(status, visit),
  ];
}
