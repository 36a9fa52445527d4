// One address: what it has, and what transactions did to it.

import { ask, call, RpcError } from "./node.js";
import { amount, blockLink, button, count, facts, h, many, ofUnits, section, table, txLink } from "./draw.js";

const HISTORY_PAGE = 25;
const OUTPUTS_SHOWN = 100;
// What a page can show at once; whoever wants more asks the node.
const HISTORY_SHOWN_MAX = 2000;

export const words = {
  unknown: "unknown here", conflicted: "conflicted", pending: "waiting for votes", certified: "certified", final: "final",
  confirmed: "final, in a block",
};

/** Puts the newest page into what is known. A page that does not join it begins anew. */
function merge(visit, page) {
  visit.known ??= new Map();
  // What no block has is on the first page alone, so it is there or gone.
  for (const [txid, entry] of visit.known) if (entry.height === null) visit.known.delete(txid);
  const joins = page.next === null || page.history.some((entry) => visit.known.has(entry.txid));
  if (!joins || visit.next === undefined) {
    visit.known.clear();
    visit.next = page.next;
  }
  page.history.forEach((entry) => visit.known.set(entry.txid, entry));
  visit.completeFrom = page.complete_from;
}

/** The known entries, the newest first. */
function sorted(visit) {
  const place = (entry) => (entry.height === null ? [Infinity, 0] : [entry.height, entry.place]);
  return [...visit.known.values()].sort((a, b) => {
    const [[high, late], [low, early]] = [place(b), place(a)];
    return high === low ? late - early : high - low;
  });
}

/** The action of the button below the history. */
export async function older(visit) {
  if (!visit.next) return;
  const page = await call("getaddresshistory", visit.address, HISTORY_PAGE, visit.next);
  page.history.forEach((entry) => visit.known.set(entry.txid, entry));
  visit.next = page.next ?? null;
  visit.completeFrom = page.complete_from;
}

function change(entry) {
  const difference = BigInt(entry.received) - BigInt(entry.sent);
  const size = amount(ofUnits(difference < 0n ? -difference : difference));
  return h("span", { class: difference < 0n ? "" : "good" }, `${difference < 0n ? "−" : "+"}${size}`);
}

function history(visit) {
  const entries = sorted(visit);
  const row = (entry) => [
    txLink(entry.txid),
    entry.received === 0 ? "" : amount(entry.received_time),
    entry.sent === 0 ? "" : amount(entry.sent_time),
    change(entry),
    entry.height === null ? words[entry.status] ?? "–" : blockLink(entry.height),
    h("span", { class: ["final", "confirmed"].includes(entry.status) ? "good" : entry.status === "conflicted" ? "bad" : "" },
      words[entry.status] ?? entry.status),
  ];
  const from = visit.completeFrom === 0 ? "Complete since the genesis document."
    : `Complete from block ${count(visit.completeFrom)} on; this node does not know older ones.`;
  const heads = [["Transaction"], ["Received", "number spare"], ["Sent", "number spare"], ["Change", "number"], ["Block", "number"],
    ["State", "wide spare"]];
  return section("History",
    table(heads,
      entries.map(row), "No transaction."),
    h("p", { class: "quiet" }, `${many(entries.length, "transaction")} shown. `, visit.next ? "" : from),
    visit.next && entries.length < HISTORY_SHOWN_MAX ? button("older", "Older") : null);
}

export async function address(text, visit) {
  visit.address = text;
  visit.follow("address", text);
  const [balance, page, outputs] = await ask([
    ["getaddressbalance", text], ["getaddresshistory", text, HISTORY_PAGE], ["getaddressutxos", text, OUTPUTS_SHOWN],
  ]);
  for (const answer of [balance, page, outputs]) if (answer instanceof RpcError) throw answer;
  merge(visit, { ...page, next: page.next ?? null });
  const more = outputs.next ? ` (the first ${count(outputs.utxos.length)})` : "";
  return [
    h("h1", null, "Address"),
    section(null, facts([
      ["Address", h("span", { class: "hash" }, text)],
      ["Total", amount(balance.total_time)],
      ["Spendable", amount(balance.spendable_time)],
      ["Collateral", balance.bound === 0 ? "" : amount(balance.bound_time)],
    ])),
    history(visit),
    section(`${many(balance.utxo_count, "unspent output")}${more}`,
      table([["Output"], ["Amount", "number"], ["Block", "number"], ["", "wide"]],
        outputs.utxos.map((utxo) => [[txLink(utxo.txid), `:${utxo.vout}`], amount(utxo.value_time),
          utxo.height === null ? "–" : blockLink(utxo.height),
          utxo.bound ? "collateral" : utxo.spendable ? "" : "being spent"]), "None.")),
  ];
}
