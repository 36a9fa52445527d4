// One block: what its header says, who signed it, and its transactions.

import { call } from "./node.js";
import { ago, blockLink, button, count, facts, h, link, many, masternodeLink, section, table, txLink } from "./draw.js";

// A block may have many thousands, and a row for each would hold the browser up.
const TRANSACTIONS_SHOWN = 100;

/** The action of the button below the transactions. */
export function moreTransactions(visit) {
  visit.shown += TRANSACTIONS_SHOWN;
}

function transactions(txids, visit) {
  const left = txids.length - visit.shown;
  return section(many(txids.length, "transaction"),
    table([["Transaction", "wide"]], txids.slice(0, visit.shown).map((txid) => [txLink(txid, true)]), "None."),
    left > 0 ? h("p", { class: "quiet" }, `${count(left)} more are not shown.`) : null,
    left > 0 ? button("moreTransactions", `Show ${count(Math.min(left, TRANSACTIONS_SHOWN))} more`) : null);
}

export async function block(id, visit) {
  visit.shown ??= TRANSACTIONS_SHOWN;
  // It never changes, but for what follows it.
  visit.found ??= await call("getblock", /^\d{1,15}$/.test(id) ? Number(id) : id, 1);
  visit.commit ??= await call("getcommit", visit.found.height);
  const { found, commit } = visit;
  return [
    h("h1", null, `Block ${count(found.height)}`),
    section(null, facts([
      ["Hash", h("span", { class: "hash" }, found.hash)],
      ["Before it", found.height > 1 ? link(`block/${found.height - 1}`, found.previousblockhash, "hash") : "genesis"],
      ["After it", found.confirmations > 1 ? blockLink(found.height + 1) : "none yet"],
      ["Time", `${new Date(found.time).toISOString()} (${ago(found.time)})`],
      ["Epoch", `${count(found.epoch)}${found.epoch_end ? ", which it ends" : ""}`],
      ["Proposed by", masternodeLink(found.proposer, true)],
      ["Round", `${found.round}${found.commit_round === found.round ? "" : `, committed in ${found.commit_round}`}`],
      ["Signed by", `${commit.signers.length} masternodes${commit.signed_weight === null ? ""
        : `, weight ${count(commit.signed_weight)}, ${count(commit.quorum)} needed`}`],
      ["Size", `${count(found.size)} bytes`],
      ["State", h("span", { class: "hash" }, found.state_digest)],
    ])),
    transactions(found.tx, visit),
    found.evidence.length === 0 ? null : section("Punished", table([["Kind"], ["Masternode", "wide"]],
      found.evidence.map((piece) => [piece.kind, masternodeLink(piece.masternode, true)]), "")),
  ];
}
