// A client of the planlease sidecar. Node's own modules are all it needs. Types and words: index.d.ts.
//
//   const client = new Client({ socket: "/run/planlease/sidecar.sock" });
//   const plan = await client.own("release");          // waits in line
//   for (const task of await plan.claim(4)) await plan.complete(task, "done");
//   await plan.release();
//
// A plan is owned for as long as the connection stands, and not a moment longer than it can be believed in: `plan.signal`
// aborts then, and everything that is asked by its right rejects with `OwnershipLost`. When this process dies, its
// connection closes, and the next one in line owns the plan some milliseconds later. An update whose answer was lost is asked
// for again with the same Idempotency-Key, so that it is done once.

import { randomUUID } from "node:crypto";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** How often an update is asked for while no answer comes. */
const TRIES = 5;
/** The pause between two tries, in milliseconds; twice as long each time. */
const PAUSE = 200;
/** The longest pause until a broken stream is asked for again, in milliseconds. */
const MAX_PAUSE = 5_000;

export class Unreachable extends Error {}

export class OwnershipLost extends Error {}

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? `status ${status}`);
    this.status = status;
    this.document = document;
    this.kind = String(document.type ?? "").split(":").pop();
  }
}

const quote = encodeURIComponent;

export class Client {
  #to;
  #headers;
  #timeout;

  constructor({ socket, address, token, timeout = 30_000 }) {
    if ((socket === undefined) === (address === undefined)) throw new TypeError("say either socket or address");
    if (socket !== undefined) {
      this.#to = { socketPath: socket };
    } else {
      const [host, port] = address.split(/:(?=\d+$)/);
      this.#to = { host, port };
    }
    this.#headers = { "planlease-request": "true", host: "localhost" };
    if (token !== undefined) this.#headers.authorization = `Bearer ${token}`;
    this.#timeout = timeout;
  }

  async plans() {
    return (await this.get("/v1/plans")).plans;
  }

  status(plan) {
    return this.get(`/v1/plans/${quote(plan)}/status`);
  }

  importPlan(plan, text, type = "text/markdown") {
    return this.ask("PUT", `/v1/plans/${quote(plan)}`, text, { "content-type": type });
  }

  own(plan, options = {}) {
    return Ownership.acquire(this, plan, options);
  }

  async *events({ plans, after, signal } = {}) {
    const query = plans === undefined ? "" : `?plan=${quote(plans.join(","))}`;
    let pause = PAUSE;
    while (!signal?.aborted) {
      const headers = after === undefined ? {} : { "last-event-id": String(after) };
      try {
        for await (const event of this.stream("GET", `/v1/events${query}`, undefined, headers, signal)) {
          pause = PAUSE;
          after = event.id ?? after;
          yield event;
        }
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
      }
      await sleep(pause, undefined, { signal }).catch(() => {});
      pause = Math.min(2 * pause, MAX_PAUSE);
    }
  }

  get(path) {
    return this.insist("GET", path);
  }

  async ask(method, path, body, headers = {}) {
    const answer = await this.#send(method, path, body, headers);
    const text = await whole(answer);
    const document = text === "" ? {} : JSON.parse(text);
    if (answer.statusCode >= 400) throw new Problem(answer.statusCode, document);
    return document;
  }

  /** Asks again, with the same key, while no answer comes. */
  async insist(method, path, body, headers = {}) {
    for (let [tries, pause] = [1, PAUSE]; ; tries += 1, pause *= 2) {
      try {
        return await this.ask(method, path, body, headers);
      } catch (error) {
        const passing =
          error instanceof Unreachable || ["unavailable", "outcome-unknown", "too-many"].includes(error.kind);
        if (!passing || tries === TRIES) throw error;
      }
      await sleep(pause);
    }
  }

  /** A stream of events; its end is the end of the iteration. */
  async *stream(method, path, body, headers = {}, signal = undefined) {
    const answer = await this.#send(method, path, body, { ...headers, accept: "text/event-stream" }, signal);
    if (answer.statusCode >= 400) throw new Problem(answer.statusCode, JSON.parse((await whole(answer)) || "{}"));
    answer.setEncoding("utf8");
    let read = "";
    try {
      for await (const chunk of answer) {
        const blocks = (read + chunk).split("\n\n");
        read = blocks.pop();
        for (const block of blocks) {
          const event = parse(block);
          if (event) yield event;
        }
      }
    } catch (error) {
      throw new Unreachable(`${method} ${path}: ${error.message}`);
    } finally {
      answer.destroy();
    }
  }

  #send(method, path, body, headers, signal) {
    return new Promise((resolve, reject) => {
      const all = { ...this.#headers, ...headers, "content-length": Buffer.byteLength(body ?? "") };
      const request = http.request({ ...this.#to, method, path, headers: all, agent: false, signal }, resolve);
      const broken = (error) => reject(new Unreachable(`${method} ${path}: ${error.message}`));
      request.on("error", broken);
      request.setTimeout(this.#timeout, () => request.destroy(new Error("nothing was heard for too long")));
      request.end(body);
    });
  }
}

async function whole(answer) {
  let text = "";
  answer.setEncoding("utf8");
  try {
    for await (const chunk of answer) text += chunk;
  } catch (error) {
    throw new Unreachable(error.message);
  }
  return text;
}

/** An event; nothing if it is a comment. */
function parse(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    fields[name] = value;
  }
  if (fields.event === undefined) return undefined;
  const id = fields.id === undefined ? null : Number(fields.id);
  return { id, name: fields.event, data: JSON.parse(fields.data ?? "{}") };
}

export class Ownership {
  #client;
  #path;
  #session = "";
  #until = 0;
  #over = new AbortController();
  #events;
  #reading = Promise.resolve();

  constructor(client, plan) {
    this.#client = client;
    this.#path = `/v1/plans/${quote(plan)}`;
    this.plan = plan;
    this.token = "";
    this.signal = this.#over.signal;
  }

  static async acquire(client, plan, { name, wait }) {
    const ownership = new Ownership(client, plan);
    const body = JSON.stringify({ id: name, wait_s: wait });
    const headers = { "content-type": "application/json" };
    ownership.#events = client.stream("POST", `${ownership.#path}/ownership`, body, headers);
    await ownership.#wait();
    ownership.#reading = ownership.#read();
    return ownership;
  }

  trustedFor() {
    return this.signal.aborted ? 0 : Math.max(0, this.#until - performance.now());
  }

  async claim(count = 1, labels = []) {
    const body = JSON.stringify({ count, labels });
    return (await this.#checked(() => this.#client.ask("POST", `${this.#path}/claims`, body, this.#right()))).tasks;
  }

  complete(task, notes = null) {
    return this.#update(task, { change: "complete", notes });
  }

  fail(task, error) {
    return this.#update(task, { change: "fail", error });
  }

  giveBack(task, reason) {
    return this.#update(task, { change: "return", reason });
  }

  progress(task, text) {
    return this.#update(task, { change: "progress", progress: text });
  }

  async release() {
    if (!this.signal.aborted) {
      // What does not succeed here is done by the end of the connection.
      await this.#client.ask("DELETE", `/v1/sessions/${this.#session}`).catch(() => {});
    }
    this.#end("it was released");
    await this.#reading;
  }

  async #wait() {
    for (;;) {
      const { value: event, done } = await this.#events.next();
      if (done) throw new OwnershipLost("the connection was closed");
      this.#trust(event);
      if (event.name === "session") this.#session = event.data.session;
      if (event.name === "refused") throw new Problem(event.data.status, event.data);
      if (event.name === "over") throw new OwnershipLost(event.data.why);
      if (event.name === "granted") {
        this.token = event.data.token;
        return;
      }
    }
  }

  async #read() {
    let why = "the connection was closed";
    try {
      for await (const event of this.#events) {
        this.#trust(event);
        if (event.name === "lost" || event.name === "over") {
          why = event.data.why;
          break;
        }
      }
    } catch (error) {
      why = `the connection broke: ${error.message}`;
    }
    this.#end(why);
  }

  #trust(event) {
    if (event.data.trusted_for_s !== undefined) this.#until = performance.now() + 1000 * event.data.trusted_for_s;
  }

  #end(why) {
    if (!this.signal.aborted) this.#over.abort(new OwnershipLost(why));
  }

  #right() {
    if (this.trustedFor() === 0) throw this.signal.reason ?? new OwnershipLost("it was not heard of for too long");
    return { "planlease-session": this.#session, "content-type": "application/json" };
  }

  /** One update, of the record as it is known; if somebody has written to it meanwhile, of that one. */
  async #update(task, change) {
    const path = `${this.#path}/tasks/${quote(task.task)}`;
    const body = JSON.stringify({ ...change, attempt: task.attempt });
    for (let tries = 1; ; tries += 1) {
      const headers = { "if-match": `"${task.revision}"`, "idempotency-key": randomUUID() };
      try {
        const told = await this.#checked(() => this.#client.insist("PATCH", path, body, { ...this.#right(), ...headers }));
        task.revision = told.record.revision;
        return told;
      } catch (error) {
        if (error.kind !== "stale-revision" || tries === TRIES) throw error;
        task.revision = error.document.revision;
      }
    }
  }

  async #checked(ask) {
    try {
      return await ask();
    } catch (error) {
      if (!["right-gone", "no-such-session"].includes(error.kind)) throw error;
      this.#end(error.message);
      throw new OwnershipLost(error.message);
    }
  }
}
