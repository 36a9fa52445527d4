// The node that served this page: calls over the same JSON-RPC as everybody, and what it tells by WebSocket.

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30000;
// A socket that is refused once may be refused for good; the page polls meanwhile.
const OPEN_MAX_MS = 10000;
// A cursor that is older is left behind: after a night's sleep nobody wants to be told of each payment of the night.
const CURSOR_MAX_MS = 600000;

/** An answer that is a refusal; `reason` is stable, `hint` says what to do. */
export class RpcError extends Error {
  constructor(error) {
    super(error.message);
    this.reason = error.data?.reason ?? "";
    this.hint = error.data?.hint ?? "";
  }
}

async function post(body) {
  const response = await fetch("/", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return [await response.text(), response.status];
}

/** Makes several calls in one request: `[["getblockcount"], ["getblock", 1]]`; each answer is a result or an RpcError. */
export async function ask(calls) {
  const [text, status] = await post(calls.map(([method, ...params], id) => ({ jsonrpc: "2.0", id, method, params })));
  const answers = JSON.parse(text);
  if (!Array.isArray(answers)) throw new RpcError(answers.error ?? { message: `HTTP ${status}` });
  const sorted = new Array(calls.length);
  for (const { id, result, error } of answers) sorted[id] = error ? new RpcError(error) : result;
  return sorted;
}

/** One call. */
export async function call(method, ...params) {
  const [answer] = await ask([[method, ...params]]);
  if (answer instanceof RpcError) throw answer;
  return answer;
}

/** The text of one call's result, letter by letter as the node wrote it: a number here would lose digits above 2^53. */
export async function callText(method, ...params) {
  const [text, status] = await post({ jsonrpc: "2.0", id: 0, method, params });
  const { error, result } = JSON.parse(text);
  if (error) throw new RpcError(error);
  const cut = text.slice(text.indexOf("\"result\":") + 9, text.lastIndexOf("}"));
  if (JSON.stringify(JSON.parse(cut)) !== JSON.stringify(result)) throw new RpcError({ message: `HTTP ${status}` });
  return cut;
}

/**
 * Subscriptions over one WebSocket. It is opened when somebody follows something, opened again with growing pauses when it
 * ends, and each subscription goes on from its cursor then.
 */
export class Live {
  #wanted = new Set();
  #socket = null;
  #retry = RETRY_FIRST_MS;
  #waiting = null;
  #next = 1;
  #answers = new Map();
  #told = new Map();
  #changed;

  /** `changed` hears when `on` changes. */
  constructor(changed) {
    this.#changed = changed;
    /** Whether the node tells; `null` before the first attempt has come to something. */
    this.on = null;
  }

  /**
   * Follows a topic from a cursor on, or from now on if there is none. `hear` gets pages of events. Gives the subscription,
   * which has the cursor that comes next, and ends by `stop`.
   */
  follow(topic, about, cursor, hear) {
    const one = { topic, about, cursor, hear, id: null, at: Date.now(), stop: () => this.#stop(one) };
    this.#wanted.add(one);
    if (this.on) this.#subscribe(one);
    else this.#open();
    return one;
  }

  #stop(one) {
    this.#wanted.delete(one);
    if (one.id === null) return;
    this.#told.delete(one.id);
    if (this.on) this.#send("unsubscribe", [one.id], () => {});
  }

  #send(method, params, answered) {
    // What closes hears nothing; when it is closed, all begins anew.
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    const id = this.#next;
    this.#next += 1;
    this.#answers.set(id, answered);
    this.#socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
  }

  #subscribe(one) {
    if (Date.now() - one.at > CURSOR_MAX_MS) one.cursor = null;
    this.#send("subscribe", [one.topic, one.about, one.cursor], (answer) => {
      if (answer.error) {
        // Of another chain, perhaps: a devnet that was made anew. The page's next poll shows what there is.
        one.cursor = null;
        this.#socket.close();
        return;
      }
      one.id = answer.result;
      if (this.#wanted.has(one)) this.#told.set(one.id, one);
      else this.#send("unsubscribe", [one.id], () => {});
    });
  }

  #open() {
    if (this.#socket !== null || this.#waiting !== null || this.#wanted.size === 0) return;
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws`);
    this.#socket = socket;
    const deadline = setTimeout(() => socket.close(), OPEN_MAX_MS);
    socket.addEventListener("open", () => {
      clearTimeout(deadline);
      this.#set(true);
      this.#wanted.forEach((one) => this.#subscribe(one));
    });
    socket.addEventListener("message", (event) => this.#hear(JSON.parse(event.data)));
    socket.addEventListener("close", () => {
      clearTimeout(deadline);
      this.#socket = null;
      this.#answers.clear();
      this.#told.clear();
      this.#wanted.forEach((one) => { one.id = null; });
      this.#set(false);
      // A part by chance, so that all pages of a node that starts again don't come at once.
      const pause = this.#retry * (0.5 + Math.random() / 2);
      this.#retry = Math.min(2 * this.#retry, RETRY_MAX_MS);
      this.#waiting = setTimeout(() => {
        this.#waiting = null;
        this.#open();
      }, pause);
    });
  }

  #hear({ id, method, params, ...answer }) {
    if (method !== "event") {
      this.#answers.get(id)?.(answer);
      this.#answers.delete(id);
      return;
    }
    const one = this.#told.get(params.subscription);
    if (!one) return;
    // The node ends a subscription that it can't go on with.
    if (params.error) return this.#socket.close();
    this.#retry = RETRY_FIRST_MS;
    one.cursor = params.result.next_cursor ?? one.cursor;
    one.at = Date.now();
    one.hear(params.result);
  }

  #set(on) {
    if (this.on === on) return;
    this.on = on;
    this.#changed(on);
  }
}
