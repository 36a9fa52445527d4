// What views are made of. Whatever comes from the node is put on the page as text, never as markup.

// A name, not an address: nothing is asked there.
const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== undefined && child !== null && child !== "") element.append(child);
  }
  return element;
}

/** An element with attributes and children; texts become text nodes. */
export const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** The same of a drawing. */
const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

/** Makes `old` what `fresh` is, with as few changes as that takes: focus, selection and scrolling stay. */
export function morph(old, fresh) {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const [have, want] = [[...old.childNodes], [...fresh.childNodes]];
  want.forEach((node, at) => {
    const here = have[at];
    if (!here) old.append(node);
    else if (here.nodeName !== node.nodeName || here.id !== node.id) here.replaceWith(node);
    else if (node.nodeType === Node.ELEMENT_NODE) morph(here, node);
    else if (here.data !== node.data) here.data = node.data;
  });
  have.slice(want.length).forEach((node) => node.remove());
}

export const link = (to, text, kind) => h("a", { href: `#/${to}`, class: kind }, text);
export const short = (hash) => (hash.length > 20 ? `${hash.slice(0, 10)}…${hash.slice(-6)}` : hash);
export const count = (number) => Number(number).toLocaleString("en-US");

/** `10000.50000000` as `10,000.5 TIME`. */
export function amount(text) {
  const [whole, fraction = ""] = String(text).split(".");
  const rest = fraction.replace(/0+$/, "");
  return `${BigInt(whole).toLocaleString("en-US")}${rest ? `.${rest}` : ""} TIME`;
}

/** An amount in TIME of base units. */
export const ofUnits = (number) => `${number / 100000000n}.${String(number % 100000000n).padStart(8, "0")}`;

export function ago(ms) {
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(ms).toISOString().replace("T", " ").slice(0, 16);
}

/** A moment in UTC, before or after now. */
export const moment = (ms) => `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;

export const milliseconds = (us) => `${(us / 1000).toFixed(us < 10000 ? 1 : 0)} ms`;
export const blockLink = (height) => (height === 0 ? "genesis" : link(`block/${height}`, count(height)));
export const many = (number, name) => `${count(number)} ${name}${number === 1 ? "" : "s"}`;
const named = (whole) => (whole ? "hash" : "hash short");
export const txLink = (txid, whole) => link(`tx/${txid}`, whole ? txid : short(txid), named(whole));
export const masternodeLink = (id, whole) => h("a", { href: `#/masternode/${id}`, class: named(whole), title: id }, whole ? id : short(id));
export const addressLink = (address) => link(`address/${address}`, short(address), named(false));

export function bytes(number) {
  const sizes = ["B", "kB", "MB", "GB", "TB"];
  let [value, at] = [number, 0];
  while (value >= 1000 && at < sizes.length - 1) [value, at] = [value / 1000, at + 1];
  return `${value.toFixed(at === 0 || value >= 100 ? 0 : 1)} ${sizes[at]}`;
}

/** Rows under heads, each `[text, class]`; `empty` stands where there is no row. */
export function table(heads, rows, empty) {
  if (rows.length === 0) return h("p", { class: "quiet" }, empty);
  const cell = (content, at) => h("td", { class: heads[at][1] }, content);
  return h("table", null,
    h("thead", null, h("tr", null, heads.map(([text, kind]) => h("th", { scope: "col", class: kind }, text)))),
    h("tbody", null, rows.map((row) => h("tr", null, row.map(cell)))));
}

export function facts(entries) {
  const shown = entries.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

export const section = (title, ...content) => h("section", null, title ? h("h2", null, title) : null, content);

export function card(name, value, note) {
  return h("dl", { class: "card" }, h("dt", null, name), h("dd", null, value, note ? h("small", null, note) : null));
}

/** A button that does what `action` names; `explorer.js` knows the actions. */
export const button = (action, text, more) => h("button", { type: "button", "data-do": action, ...more }, text);

// -- charts -----------------------------------------------------------------------------------------------------------

const WIDTH = 300;
const HEIGHT = 60;

/** Points as a line with the ground under it; `says` is the whole of it for those who don't see it. */
export function lineChart(values, says) {
  const top = Math.max(...values, 1e-9);
  const place = (value, at) => [
    values.length > 1 ? (at * WIDTH) / (values.length - 1) : WIDTH / 2,
    HEIGHT - 2 - (value / top) * (HEIGHT - 6),
  ].map((number) => number.toFixed(1)).join(",");
  const points = values.map(place);
  const ground = points.length > 1 ? `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` : "";
  return svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": says },
    svg("polygon", { points: ground }),
    svg("polyline", { points: points.join(" ") }));
}

/** Counts as bars, the last at the right. */
export function barChart(values, says) {
  const top = Math.max(...values, 1);
  const wide = WIDTH / values.length;
  return svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": says },
    values.map((value, at) => {
      const height = (value / top) * (HEIGHT - 4);
      return svg("rect", { x: (at * wide).toFixed(2), y: (HEIGHT - height).toFixed(2), width: (wide * 0.8).toFixed(2), height: height.toFixed(2) });
    }));
}
