// The masternodes: all of them in a table, and one with all that the chain and this node know of it.

import { ask, call, RpcError } from "./node.js";
import {
  addressLink, ago, amount, blockLink, count, facts, h, many, masternodeLink, milliseconds, moment, section, table, txLink,
} from "./draw.js";
import { POLL_MS } from "./feed.js";

const EVIDENCE_ASKED = 1000;

const ms = (value) => (value === null ? "–" : milliseconds(value * 1000));

/** The part of votes that were lost, where there are such. */
function lost({ count: came, missing }) {
  return missing === 0 ? "" : h("span", { class: "bad" }, `${Math.ceil((100 * missing) / (came + missing))} %`);
}

const EXPLAINS_VOTES = (minutes) => `Votes of the last ${minutes} minutes, from this node's acceptance of a payment to the vote's arrival here. `
  + "Lost are those that did not come within ten seconds though a quorum's did.";

const stateMark = ({ state, jailed }) => h("span", { class: state === "active" ? "good" : "bad" }, jailed ? `${state} (${jailed})` : state);

// -- all --------------------------------------------------------------------------------------------------------------

export async function masternodes(_argument, visit) {
  visit.polls = POLL_MS;
  const [all, heartbeats, latency] = await ask([["masternodelist"], ["getheartbeats"], ["getvotelatency"]]);
  for (const answer of [all, heartbeats, latency]) if (answer instanceof RpcError) throw answer;
  const votes = new Map(latency.masternodes.map((one) => [one.id, one.final]));
  const none = { count: 0, missing: 0, p50_ms: null, p90_ms: null };
  const heard = new Map(heartbeats.map((beat) => [beat.masternode, beat.heard_ms]));
  const row = (one) => {
    const times = votes.get(one.id) ?? none;
    return [masternodeLink(one.id), stateMark(one), one.tier ?? "–", count(one.effective_weight), ms(times.p50_ms), ms(times.p90_ms), lost(times),
      heard.has(one.id) ? ago(heard.get(one.id)) : "–", one.connected ? "yes" : h("span", { class: "bad" }, "no"), one.address];
  };
  return [
    h("h1", null, many(all.length, "masternode")),
    section(null, table(
      [["Masternode"], ["State"], ["Tier", "spare"], ["Weight", "number spare"], ["Votes", "number"], ["90 %", "number"],
        ["Lost", "number"], ["Heard", "short spare"], ["Connected", "spare"], ["Address", "wide spare"]],
      all.map(row), "None."),
      h("p", { class: "quiet" }, `Half and 90 % of the Final votes. ${EXPLAINS_VOTES(latency.minutes)}`)),
  ];
}

// -- one --------------------------------------------------------------------------------------------------------------

/** What its state means, and what comes next. `clock` has the epoch's end, about, and how long collateral stays bound. */
function meaning(one, clock) {
  const atEnd = clock.epochEnd === null ? "" : `, at about ${moment(clock.epochEnd)}`;
  const left = one.left_ms === null ? "" : ` since ${moment(one.left_ms)}`;
  const jailedSince = moment(one.jailed_since_ms ?? 0);
  switch (one.state) {
    case "active": return "It votes.";
    case "eligible": return `It can be in the next epoch's set${atEnd}.`;
    case "exiting": return `It leaves at the epoch's end${atEnd}, or when enough others stay.`;
    case "jailed": return `It is kept out of the set for absence since ${jailedSince}, until its operator un-jails it. `
      + `Otherwise it counts as exited after ${moment((one.jailed_since_ms ?? 0) + clock.unbonding)}.`;
    case "slashed": return `It signed against the rules, and is kept out of the set for good since ${jailedSince}. A part of its collateral was burned.`;
    case "unbonding": return `It has left, and is in no set${left}.`
      + (one.bound_until_ms === null ? "" : ` Its collateral is free in epochs that start after ${moment(one.bound_until_ms)}.`);
    default: return "";
  }
}

function weight(one) {
  if (one.effective_weight === one.weight) return count(one.weight);
  const growth = one.in_set === null ? "" : one.on_trial ? ", on trial" : ", growing at each epoch's end as long as it signs";
  return `${count(one.effective_weight)} of ${count(one.weight)}${growth}`;
}

function attendance(seat) {
  if (seat === null) return "";
  const { signed, counted, absent } = seat.attendance;
  const text = `${count(signed)} of the last ${many(counted, "commit")} signed`;
  return absent ? h("span", { class: "bad" }, `${text}: if that stays so it is jailed at the epoch's end`) : text;
}

function since(seat) {
  return seat && `epoch ${count(seat.since_epoch)} at least${seat.since_ms === null ? "" : `, ${moment(seat.since_ms)}`}`;
}

function changes(pending) {
  return pending && [
    pending.operator_key ? h("div", null, "operator key ", h("span", { class: "hash" }, pending.operator_key)) : null,
    pending.payout ? h("div", null, "rewards to ", addressLink(pending.payout)) : null,
    pending.address ? h("div", null, `node ${pending.address}`) : null,
  ];
}

/** How late its votes come; whoever is in no set casts none. */
function votesOf(id, latency) {
  const own = latency.masternodes.find((member) => member.id === id);
  if (!own) return section("Votes", h("p", { class: "quiet" }, "It is not in the set of this epoch, and casts none."));
  const kinds = [["Lock", own.lock], ["Final", own.final], ["Precommit", own.precommit]];
  return section("Votes",
    table([["Kind"], ["Came", "number"], ["Half", "number"], ["90 %", "number"], ["99 %", "number spare"], ["Slowest", "number"], ["Lost", "number"], ["", "wide"]],
      kinds.map(([name, times]) => [name, count(times.count), ms(times.p50_ms), ms(times.p90_ms), ms(times.p99_ms), ms(times.max_ms), lost(times), ""]), ""),
    h("p", { class: "quiet" }, EXPLAINS_VOTES(latency.minutes), own.own ? " These are this node's own." : " Precommits count from the first one of their round."));
}

function punishments(pieces, name) {
  const own = pieces.filter((piece) => piece.masternode === name);
  if (own.length === 0) return null;
  return section("Punished", table([["Kind"], ["Block", "number"], ["Burned", "number"], ["", "wide"]],
    own.map((piece) => [piece.kind, blockLink(piece.block_height), amount(piece.burned_time), ""]), ""));
}

/** The block that made its collateral, with its time where this node still has it. */
async function registered(height, visit) {
  if (height === 0) return "in the genesis document";
  if (visit.registeredTime === undefined) {
    const [header] = await ask([["getblockheader", height]]);
    visit.registeredTime = header instanceof RpcError ? null : header.time;
  }
  return ["block ", blockLink(height), visit.registeredTime === null ? "" : `, ${moment(visit.registeredTime)}`];
}

export async function masternode(text, visit) {
  visit.polls = POLL_MS;
  const one = await call("getmasternode", text.toLowerCase());
  const [heartbeats, latency, chain, consensus, pieces] = await ask([
    ["getheartbeats"], ["getvotelatency"], ["getblockchaininfo"], ["getconsensusinfo"], ["listevidence", EVIDENCE_ASKED],
  ]);
  for (const answer of [heartbeats, latency, chain, consensus, pieces]) if (answer instanceof RpcError) throw answer;
  const { epoch_duration_ms: duration, unbonding_time_ms: unbonding } = chain.parameters;
  const clock = { epochEnd: consensus.epoch_start_ms === null ? null : consensus.epoch_start_ms + duration, unbonding };
  const beat = heartbeats.find((heard) => heard.masternode === one.id);
  const isOwn = latency.masternodes.some((member) => member.id === one.id && member.own);
  const [txid, index] = one.collateral_outpoint.split(":");
  return [
    h("h1", null, "Masternode"),
    section(null, facts([
      ["Masternode", h("span", { class: "hash" }, one.id)],
      ["State", [stateMark(one), h("div", { class: "quiet" }, meaning(one, clock))]],
      ["In the set since", since(one.in_set)],
      ["Tier", one.tier],
      ["Weight", weight(one)],
      ["Attendance", attendance(one.in_set)],
      ["Collateral", [amount(one.collateral_time), " in ", txLink(txid), `:${index}`]],
      ["Registered", await registered(one.collateral_height, visit)],
      ["Owner", addressLink(one.owner)],
      ["Rewards to", addressLink(one.payout)],
      ["Operator key", h("span", { class: "hash" }, one.operator_key)],
      ["Node", [`${one.address}, `, isOwn ? "this one" : one.connected ? "connected here" : h("span", { class: "bad" }, "not connected here")]],
      ["Heard", beat ? `${ago(beat.heard_ms)}, at block ${count(beat.height)}` : ""],
      ["With the next epoch", changes(one.pending)],
    ])),
    votesOf(one.id, latency),
    punishments(pieces, one.id),
  ];
}
