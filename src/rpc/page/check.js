// Proofs and receipts that anybody brings, checked in this browser. The node gives its genesis document at most, where no other
// is chosen.

import { call, RpcError } from "./node.js";
import { addressLink, amount, button, count, h, many, section, table, txLink } from "./draw.js";
import { ProofError, toHex } from "./bytes.js";
import { parseGenesis } from "./genesis.js";
import { unable, verifyText } from "./proof.js";
import { verifyReceipt } from "./receipt.js";

// A genesis document with a hundred masternodes and many allocations stays far below it.
const DOCUMENT_BYTES_MAX = 16 << 20;
// A proof of years is some megabytes; twice as much as base64, and a transaction beside it.
const GIVEN_BYTES_MAX = 32 << 20;

async function textOf(file, bytesMax, what) {
  if (file.size > bytesMax) throw new ProofError(`${file.name} is too large for ${what}`);
  return file.text();
}

/** The genesis document of a file, or else the node's; with words for where it is from. */
export async function theDocument(file) {
  if (!file) {
    const { toml } = await call("getgenesis");
    return [toml, "the genesis document that this node gave: this shows that the node does not contradict itself. "
      + "Choose a document that you have from elsewhere to rely on nobody but its masternodes"];
  }
  return [await textOf(file, DOCUMENT_BYTES_MAX, "a genesis document"), `the genesis document of ${file.name}`];
}

/** A verdict for people on what `prove` finds under a document; anything but a refusal is thrown on. */
export async function judge(file, prove) {
  try {
    const problem = unable();
    if (problem !== null) throw new ProofError(problem);
    const [document, from] = await theDocument(file);
    const genesis = parseGenesis(document);
    const { proved, ...shown } = await prove(genesis);
    return {
      good: true,
      txid: proved.txid,
      text: `The proof holds: final in epoch ${count(proved.epoch)}`
        + `${proved.height === null ? ", by votes" : `, in block ${count(proved.height)}`}, signed by ${proved.signers} of `
        + `${many(proved.validators, "masternode")} with weight ${count(proved.signed_weight)} of ${count(proved.total_weight)}, `
        + `${count(proved.quorum)} needed.`,
      more: `Checked in this browser with ${from}${proved.trusted === null ? "" : `, and from block ${proved.trusted}`}. `
        + `Chain ${toHex(genesis.chainId)}.`,
      ...shown,
    };
  } catch (error) {
    if (!(error instanceof ProofError || error instanceof RpcError)) throw error;
    return { good: false, text: `Nothing is proved: ${error.message}`, more: error.hint };
  }
}

export const verdictLines = (verdict) => (verdict ? [
  h("p", { class: verdict.good === false ? "bad" : verdict.good ? "good" : "" }, verdict.text),
  verdict.more ? h("p", { class: "quiet hash-inside" }, verdict.more) : null] : null);

const isReceipt = (text) => /"format"\s*:\s*"timed payment receipt"/.test(text);

/** The action of the button: checks what was pasted, or else the chosen or dropped file. */
export async function checkGiven(visit) {
  const pasted = document.getElementById("pasted").value.trim();
  const file = document.getElementById("given").files[0] ?? visit.dropped?.given;
  const genesis = document.getElementById("document").files[0] ?? visit.dropped?.document;
  const trusted = document.getElementById("trusted").value.trim().toLowerCase() || null;
  visit.verdict = { text: "Checking …" };
  visit.redraw();
  visit.verdict = await judge(genesis, async (made) => {
    if (!pasted && !file) throw new ProofError("paste a proof or a receipt, or choose its file");
    const text = pasted || (await textOf(file, GIVEN_BYTES_MAX, "a proof or a receipt")).trim();
    return isReceipt(text) ? verifyReceipt(made, text, trusted) : { proved: await verifyText(made, text, trusted) };
  });
}

/** Files that are dropped on the page: a document by its tables, anything else is to be checked. */
async function drop(visit, files) {
  visit.dropped ??= {};
  for (const file of files) {
    const isDocument = /^\s*\[parameters\]/m.test(await file.slice(0, 1 << 16).text());
    visit.dropped[isDocument ? "document" : "given"] = file;
  }
  if (visit.dropped.given) await checkGiven(visit);
  visit.redraw();
}

/** Takes files that are dropped while this page is shown. */
export function takeDrops(view, current) {
  const isHere = () => document.getElementById("pasted") !== null;
  view.addEventListener("dragover", (event) => { if (isHere()) event.preventDefault(); });
  view.addEventListener("drop", (event) => {
    if (!isHere() || event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    drop(current(), [...event.dataTransfer.files]);
  });
}

export async function checking(_argument, visit) {
  const verdict = visit.verdict;
  const dropped = Object.values(visit.dropped ?? {}).map((file) => file.name).join(", ");
  return [
    h("h1", null, "Check a proof or a receipt"),
    section(null,
      h("p", null, "Whether a payment is final can be checked without any node: by its proof or its receipt, and the genesis "
        + "document of its network. Nothing of it leaves this browser."),
      h("p", null, h("label", { for: "pasted" }, "The proof or the receipt, pasted:"),
        h("textarea", { id: "pasted", rows: 6, spellcheck: "false", autocomplete: "off" })),
      h("p", null, h("label", { for: "given" }, "Or its file; files can be dropped on this page too:"), h("input", { id: "given", type: "file" })),
      h("p", null, h("label", { for: "document" }, "The genesis document (the node's own, where none is chosen):"),
        h("input", { id: "document", type: "file" })),
      h("p", null, h("label", { for: "trusted" }, "A block that you know to be of the chain, where the proof starts from one (HEIGHT:HASH):"),
        h("input", { id: "trusted", size: 70, spellcheck: "false", autocomplete: "off" })),
      dropped ? h("p", { class: "quiet" }, `Dropped: ${dropped}`) : null,
      h("div", { class: "buttons" }, button("checkGiven", "Check"))),
    verdict ? section("Verdict",
      h("div", { id: "verdict", role: "status" }, verdictLines(verdict)),
      verdict.txid ? h("p", null, "Transaction ", txLink(verdict.txid, true)) : null,
      verdict.memo ? h("p", null, `Memo: ${verdict.memo}`) : null,
      verdict.outputs ? table([["Address"], ["Amount", "number"], ["", "wide"]],
        verdict.outputs.map((output) => [addressLink(output.address), amount(output.value_time), ""]), "It pays nobody.") : null) : null,
  ];
}
