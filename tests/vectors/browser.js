// Runs the explorer's check of proofs over what the test gives it, and sends back what came out. The test judges.
import { followPath, hash, ofHex, ProofError, toHex } from "/bytes.js";
import { parseGenesis } from "/genesis.js";
import { verifyProof, verifyText } from "/proof.js";

const given = await (await fetch("/given.json")).json();

/** What a call gives, or why it is refused; whatever else goes wrong is neither. */
async function verdict(run) {
  try {
    return { accepted: await run() };
  } catch (error) {
    return error instanceof ProofError ? { refused: error.message } : { broken: String(error.stack) };
  }
}

const each = async (items, run) => {
  const out = [];
  for (const item of items) out.push(await verdict(() => run(item)));
  return out;
};

async function all() {
  const genesis = parseGenesis(given.document);
  return {
    hashes: given.hashes.map(({ tag, content }) => toHex(hash(tag, ofHex(content)))),
    paths: given.paths.map(({ leaf, index, leaves, path }) => {
      const end = followPath(ofHex(leaf), index, leaves, path.map((one) => ofHex(one)));
      return end && { root: toHex(end.root), first: end.first };
    }),
    documents: await each(given.documents, (text) => {
      const { chainId, set } = parseGenesis(text);
      return { chain_id: toHex(chainId), ids: set.map(({ id }) => toHex(id)) };
    }),
    texts: await each(given.texts, ({ text, trusted }) => verifyText(genesis, text, trusted)),
    proofs: await each(given.proofs, ({ bytes, trusted }) => verifyProof(genesis, ofHex(bytes), trusted)),
  };
}

const body = JSON.stringify(await all().catch((error) => ({ failure: String(error.stack) })));
await fetch("/result", { method: "POST", body });
