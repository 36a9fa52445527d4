// Checks a receipt in the browser, with the genesis document alone: the proof in it, and that what it says for people is what
// the transaction says whose hash the proof names. It follows section 5 of `src/types/wire.md`. No node is asked.

import { ensure, hash, ofHex, ProofError, Reader, same, toHex } from "./bytes.js";
import { lockOf, prefixOf } from "./genesis.js";
import { PROOF_FORMAT, PROOF_VERSION, verifyText } from "./proof.js";

const FORMAT = "timed payment receipt";
// Of an amount in TIME.
const DIGITS = 8;

/** An object with these members and no other. */
function members(value, names, what) {
  ensure(typeof value === "object" && value !== null && !Array.isArray(value), `${what} is missing`);
  const known = Object.keys(value);
  ensure(known.length === names.length && names.every((name) => known.includes(name)), `${what} has other members than it should`);
  return value;
}

const inTime = (units) => {
  const text = String(units).padStart(DIGITS + 1, "0");
  return `${text.slice(0, -DIGITS)}.${text.slice(-DIGITS)}`;
};

/** The txid, the outputs and the memo of a transaction without its signatures. */
function read(bytes) {
  const reader = new Reader(bytes, "the transaction");
  ensure(reader.u16() === 1, "this version of transactions is not known here");
  reader.list(() => [reader.hash(), reader.u32()]);
  const outputs = reader.list(() => ({ value: reader.u64(), lock: reader.take(36) }));
  const kind = reader.u32();
  const memo = kind === 0 ? Uint8Array.from(reader.list(() => reader.take(1)[0])) : new Uint8Array();
  // The body, and a list of no witnesses.
  const end = bytes.length - 8;
  if (kind === 0) ensure(reader.at === end, "something stands behind the transaction");
  ensure(end >= reader.at && bytes.subarray(end).every((byte) => byte === 0), "the transaction is given with signatures");
  return { txid: hash("timed/tx/v1", bytes.subarray(0, end)), outputs, memo };
}

/** A memo as text where it is one, else `null`. */
function textOf(memo) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(memo);
    return text !== "" && !/\p{Cc}/u.test(text) ? text : null;
  } catch {
    return null;
  }
}

/** What a receipt proves under a document of `parseGenesis`, from a block that is trusted: `{ proved, outputs, memo }`; throws a ProofError otherwise. */
export async function verifyReceipt(genesis, text, trusted = null) {
  let given;
  try {
    given = JSON.parse(text);
  } catch {
    throw new ProofError("this is no receipt");
  }
  members(given, ["format", "version", "proves", "transaction", "proof"], "the receipt");
  ensure(given.format === FORMAT, "this is no receipt");
  ensure(given.version === 1, `version ${given.version} of receipts is not known here`);
  const says = members(given.proves, ["outputs", "memo", "memo_text", "finality"], "what the receipt proves");
  const { txid, outputs, memo } = read(ofHex(String(given.transaction)));
  const proof = { format: PROOF_FORMAT, version: PROOF_VERSION, proof: given.proof, proves: says.finality };
  const proved = await verifyText(genesis, JSON.stringify(proof), trusted);
  ensure(proved.txid === toHex(txid), `the proof is of ${proved.txid}, and the receipt's transaction is ${toHex(txid)}`);
  const wrong = "what the receipt says is not what its transaction says";
  ensure(Array.isArray(says.outputs) && says.outputs.length === outputs.length, wrong);
  outputs.forEach(({ value, lock }, place) => {
    const said = members(says.outputs[place], ["n", "value", "value_time", "address"], "an output");
    ensure(said.n === place && said.value === Number(value) && said.value_time === inTime(value), wrong);
    ensure(same(lockOf(String(said.address), prefixOf(genesis.network)), lock), wrong);
  });
  ensure(says.memo === toHex(memo) && says.memo_text === textOf(memo), wrong);
  return { proved, outputs: says.outputs, memo: says.memo_text ?? says.memo };
}
