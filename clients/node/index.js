// A client of the planlease sidecar. It needs Node's own modules only. Types: index.d.ts.
//
//   const client = new Client({ socket: "/run/planlease/sidecar.sock" });
//   const plan = await client.own("release");          // waits in the queue
//   for (const task of await plan.claim(4)) await plan.complete(task, "done");
//   await plan.release();
//
// `own` returns an `Ownership`, the authority over a plan. `work` returns a `Worker`, which claims and executes tasks of a
// plan that another program owns. Both are sessions: they last as long as their connection to the sidecar, and no longer
// than they can be relied on. When a session ends, its `signal` aborts, and its methods reject with `OwnershipLost` or
// `SessionLost`. If this process dies, its connection closes, and the next program in the queue owns the plan some
// milliseconds later. An update whose answer was lost is repeated with the same Idempotency-Key, so that it is made once.
//
// Reliance is counted from the moment at which a request was sent that the sidecar answered, by a clock that also counts
// while the host is suspended (clock.js).

import { randomUUID } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "./address.js";
import { Moment } from "./clock.js";
import { Parser } from "./stream.js";

/** How often a request is sent while no answer comes. */
const TRIES = 5;
/** The pause between two tries, in milliseconds; twice as long each time. */
const PAUSE = 200;
/** The longest pause until a broken stream is opened again, in milliseconds. */
const MAX_PAUSE = 5_000;
/** How often a session checks whether it can still be relied on, in milliseconds. */
const CHECK = 250;
/** Kinds of problems that end without the client's doing. */
const PASSING = ["unavailable", "outcome-unknown", "timed-out", "too-many"];

export class Unreachable extends Error {}

export class Malformed extends Error {}

export class SessionLost extends Error {}

export class OwnershipLost extends SessionLost {}

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? `status ${status}`);
    this.status = status;
    this.document = document;
    this.kind = String(document.type ?? "").split(":").pop();
  }

  get passing() {
    // A proxy in front of the sidecar answers without a type.
    return PASSING.includes(this.kind) || (this.kind === "" && [502, 503, 504].includes(this.status));
  }
}

export class ClaimLost extends Problem {}

const quote = encodeURIComponent;

export class Client {
  #to;
  #tls = false;
  #headers;
  #timeout;

  constructor({ socket, address, token, timeout = 30_000 }) {
    if ((socket === undefined) === (address === undefined)) throw new TypeError("pass either socket or address");
    const to = address === undefined ? { socket } : parse(address);
    this.#to =
      to.socket === undefined ? { host: to.host, port: to.port, autoSelectFamily: true } : { socketPath: to.socket };
    this.#tls = to.tls === true;
    this.#headers = { "planlease-request": "true" };
    if (!this.#tls) this.#headers.host = "localhost"; // A name that each sidecar accepts.
    if (token !== undefined) this.#headers.authorization = `Bearer ${token}`;
    this.#timeout = timeout;
  }

  get timeout() {
    return this.#timeout;
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

  own(plan, { name, wait } = {}) {
    const ownership = new Ownership(this, plan);
    return ownership.open(`/v1/plans/${quote(plan)}/ownership`, { id: name, wait_s: wait });
  }

  work(plan, { name } = {}) {
    return new Worker(this, plan).open("/v1/sessions", { id: name });
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
        const passing = error instanceof Unreachable || error.passing || error.kind === "draining";
        if (!passing) throw error;
      }
      await sleep(pause, undefined, { signal }).catch(() => {});
      pause = Math.min(2 * pause, MAX_PAUSE);
    }
  }

  get(path) {
    return this.insist("GET", path);
  }

  async ask(method, path, body, headers = {}, timeout = this.#timeout) {
    const answer = await this.#send(method, path, body, headers, undefined, timeout);
    return document(`${method} ${path}`, answer);
  }

  /** Repeats the request, with the same key, while no answer comes. */
  async insist(method, path, body, headers = {}) {
    for (let [tries, pause] = [1, PAUSE]; ; tries += 1, pause *= 2) {
      try {
        return await this.ask(method, path, body, headers);
      } catch (error) {
        const passing = error instanceof Unreachable || error.passing;
        if (!passing || tries === TRIES) throw error;
      }
      await sleep(pause);
    }
  }

  /** A stream of events; its end is the end of the iteration. */
  async *stream(method, path, body, headers = {}, signal = undefined) {
    const accepting = { ...headers, accept: "text/event-stream" };
    const answer = await this.#send(method, path, body, accepting, signal, this.#timeout);
    const request = `${method} ${path}`;
    if (answer.statusCode >= 400) await document(request, answer);
    const parser = new Parser();
    try {
      for await (const chunk of chunks(request, answer)) {
        for (const { id, name, data } of parser.feed(chunk)) {
          yield { id: /^[0-9]+$/.test(id ?? "") ? Number(id) : null, name, data: json(request, data) };
        }
      }
    } finally {
      answer.destroy();
    }
  }

  #send(method, path, body, headers, signal, timeout) {
    return new Promise((resolve, reject) => {
      const all = { ...this.#headers, ...headers, "content-length": Buffer.byteLength(body ?? "") };
      const options = { ...this.#to, method, path, headers: all, agent: false, signal };
      const request = (this.#tls ? https : http).request(options, resolve);
      request.on("error", (error) => reject(new Unreachable(`${method} ${path}: ${error.message || error.code}`)));
      request.setTimeout(Math.max(1, timeout), () => request.destroy(new Error("the sidecar was silent for too long")));
      request.end(body);
    });
  }
}

/** The bytes of an answer as they come. Only what goes wrong in the connection is `Unreachable`. */
async function* chunks(request, answer) {
  try {
    for await (const chunk of answer) yield chunk;
  } catch (error) {
    throw new Unreachable(`${request}: ${error.message}`);
  }
}

/** The document of an answer. Throws the problem if it is one. */
async function document(request, answer) {
  const parts = [];
  for await (const chunk of chunks(request, answer)) parts.push(chunk);
  const text = Buffer.concat(parts).toString("utf8");
  const refused = answer.statusCode >= 400;
  let value = {};
  try {
    value = text === "" ? {} : JSON.parse(text);
  } catch (error) {
    if (!refused) throw new Malformed(`${request}: ${error.message}`);
    // Of a proxy, perhaps.
  }
  if (value === null || typeof value !== "object") value = {};
  if (refused) throw new Problem(answer.statusCode, value);
  return value;
}

function json(request, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Malformed(`${request}: an event is not JSON: ${error.message}`);
  }
}

/** The claims of a session, and what became of their tasks. */
class Claims {
  #plan;
  #claims = new Map();

  constructor(plan) {
    this.#plan = plan;
  }

  add(task) {
    const lost = new AbortController();
    const claimed = { ...task, signal: lost.signal };
    this.#claims.set(task.task, { task: claimed, lost, since: task.revision, ending: false, seen: undefined });
    return claimed;
  }

  /** From now on the attempt may be over because this program ends it. */
  beginEnd(task) {
    const claim = this.#of(task);
    if (claim) claim.ending = true;
  }

  ended(task, success) {
    const claim = this.#of(task);
    if (!claim) return;
    claim.ending = false;
    if (success) this.#claims.delete(task.task);
    else if (claim.seen !== undefined) this.#judge(task.task, claim.seen);
  }

  lose(task, why) {
    const claim = this.#of(task);
    if (claim) this.#end(claim, why);
  }

  loseAll(why) {
    for (const claim of this.#claims.values()) this.#end(claim, why);
  }

  /** Judges the claims by an event of the plan. */
  hear({ name, data }) {
    if (name === "changes") {
      for (const change of data.changes) {
        if (change.plan !== this.#plan) continue;
        if (change.change === "task") this.#judge(change.task, change);
        else if (change.change === "task_gone") this.#judge(change.task, null);
        else if (["plan_gone", "plan_appeared"].includes(change.change)) this.#judgeAll(change.tasks, data.revision);
      }
    } else if (name === "snapshot" || name === "resync") {
      this.#judgeAll(data.plans.find(({ plan }) => plan === this.#plan)?.tasks, data.revision);
    }
  }

  #judgeAll(records, revision) {
    const byId = new Map((records ?? []).map((record) => [record.task, record]));
    for (const [id, claim] of this.#claims) {
      if (byId.has(id) || claim.since <= revision) this.#judge(id, byId.get(id) ?? null);
    }
  }

  /** Judges one claim by the record of its task; null if there is none. */
  #judge(id, record) {
    const claim = this.#claims.get(id);
    if (claim === undefined || (record !== null && record.revision < claim.since)) return;
    claim.seen = record;
    if (claim.ending) return;
    if (record?.status !== "in_progress" || record.attempt !== claim.task.attempt) {
      this.#end(claim, new SessionLost(`task ${id} was taken back, ended or claimed again`));
    }
  }

  #of(task) {
    const claim = this.#claims.get(task.task);
    return claim?.task.attempt === task.attempt ? claim : undefined;
  }

  #end(claim, why) {
    this.#claims.delete(claim.task.task);
    claim.lost.abort(why);
  }
}

class Session {
  #client;
  #claims;
  #path;
  #session = "";
  #trust = { since: new Moment(), milliseconds: 0 };
  #over = new AbortController();
  #connection = new AbortController();
  #reading = Promise.resolve();
  #checking;
  #following = false;
  /** The confirmation that is under way, or is to be repeated. */
  #confirming = false;
  #renewed = false;

  constructor(client, plan) {
    this.#client = client;
    this.#claims = new Claims(plan);
    this.#path = `/v1/plans/${quote(plan)}`;
    this.plan = plan;
    this.name = "";
    this.draining = false;
    this.signal = this.#over.signal;
  }

  get loss() {
    return SessionLost;
  }

  /** Opens the session by a request whose answer is the stream of its events. */
  async open(path, request) {
    const headers = { "content-type": "application/json" };
    const sent = new Moment();
    const body = JSON.stringify(request);
    const events = this.#client.stream("POST", path, body, headers, this.#connection.signal);
    try {
      for (;;) {
        const { value: event, done } = await events.next();
        if (done) throw new this.loss("the connection was closed");
        if (event.name === "session") {
          this.#session = event.data.session;
          this.name = event.data.orchestrator ?? "";
        }
        if (event.name === "refused") throw new Problem(event.data.status, event.data);
        if (event.name === "over") throw new this.loss(event.data.why);
        if (this.opens(event)) {
          this.#rely(sent, event.data);
          break;
        }
      }
      await this.#confirmSoon();
    } catch (error) {
      this.#connection.abort();
      throw error;
    }
    this.#reading = this.#read(events);
    this.#checking = setInterval(() => this.#check(), CHECK);
    this.#checking.unref();
    return this;
  }

  trustedFor() {
    if (this.signal.aborted) return 0;
    return Math.max(0, this.#trust.milliseconds - this.#trust.since.elapsed());
  }

  async claim(count = 1, labels = []) {
    this.#follow();
    const body = JSON.stringify({ count, labels });
    const ask = () => this.#client.ask("POST", `${this.#path}/claims`, body, this.#authority());
    const { tasks } = await this.#checked(ask);
    return tasks.map((task) => this.#claims.add(task));
  }

  complete(task, notes = null) {
    return this.#end(task, { change: "complete", notes });
  }

  fail(task, error) {
    return this.#end(task, { change: "fail", error });
  }

  giveBack(task, reason) {
    return this.#end(task, { change: "return", reason });
  }

  progress(task, text) {
    return this.#update(task, { change: "progress", progress: text });
  }

  async release() {
    if (!this.signal.aborted) {
      // What does not succeed here is done by the end of the connection.
      await this.#client.ask("DELETE", `/v1/sessions/${this.#session}`).catch(() => {});
    }
    this.#finish("it was released");
    await this.#reading;
  }

  async #read(events) {
    let why = "the connection was closed";
    try {
      for await (const { name, data } of events) {
        if (name === "trusted") {
          this.#renewed = true;
          this.#check();
        } else if (name === "draining" || name === "undrained") {
          this.draining = name === "draining";
        } else if (name === "lost" || name === "over") {
          why = data.why;
          break;
        }
      }
    } catch (error) {
      why = `the connection broke: ${error.message}`;
    }
    this.#finish(why);
  }

  /** Confirms the session after each renewal, and ends it when it cannot be relied on any more. */
  #check() {
    const left = this.trustedFor();
    if (left === 0) this.#finish("the sidecar was silent for too long");
    else if (this.#renewed && !this.#confirming) void this.#keep(left);
  }

  async #keep(left) {
    this.#confirming = true;
    this.#renewed = false;
    try {
      await this.#confirm(Math.min(left, this.#client.timeout));
    } catch (error) {
      if (error instanceof SessionLost || error.kind === "no-such-session") {
        this.#finish(error.message);
      } else {
        this.#renewed = true; // Without a confirmation the session ends in time.
        await sleep(1_000, undefined, { signal: this.signal, ref: false }).catch(() => {});
      }
    }
    this.#confirming = false;
  }

  /** Asks for how long the session can be relied on, counted from now. */
  async #confirm(timeout) {
    const sent = new Moment();
    const path = `/v1/sessions/${this.#session}`;
    const document = this.relied(await this.#client.ask("GET", path, undefined, {}, timeout));
    if (document.trusted_for_s === 0) throw new this.loss("the session is over");
    this.#rely(sent, document);
  }

  /** Before the session is used: the events so far may have waited in the connection. */
  async #confirmSoon() {
    for (let [tries, pause] = [1, PAUSE]; ; tries += 1, pause *= 2) {
      try {
        return await this.#confirm(this.#client.timeout);
      } catch (error) {
        if (error.kind === "no-such-session") throw new this.loss(error.message);
        if (error instanceof SessionLost) throw error;
        if (this.trustedFor() > 0) return undefined; // Counted from the first request. It is asked for again.
        if (tries === TRIES) throw error;
      }
      await sleep(pause);
    }
  }

  /** Relies on the session for as long as a document says whose request was sent at `since`. */
  #rely(since, { trusted_for_s: seconds }) {
    if (typeof seconds !== "number") return;
    if (1000 * seconds - since.elapsed() > this.trustedFor()) this.#trust = { since, milliseconds: 1000 * seconds };
  }

  #finish(why) {
    if (this.signal.aborted) return;
    clearInterval(this.#checking);
    const lost = new this.loss(why);
    this.#over.abort(lost);
    this.#claims.loseAll(lost);
    this.#connection.abort(); // The sidecar ends the session.
  }

  /** Begins to follow the plan, to learn of lost claims. */
  #follow() {
    if (this.#following) return;
    this.#following = true;
    void this.#watch();
  }

  async #watch() {
    while (!this.signal.aborted) {
      try {
        for await (const event of this.#client.events({ plans: [this.plan], signal: this.signal })) {
          this.#claims.hear(event);
        }
      } catch {
        // Whatever it is: updates of lost claims are refused all the same.
      }
      await sleep(1_000, undefined, { signal: this.signal, ref: false }).catch(() => {});
    }
  }

  #authority() {
    if (this.trustedFor() === 0) throw this.signal.reason ?? new this.loss("the sidecar was silent for too long");
    return { "planlease-session": this.#session, "content-type": "application/json" };
  }

  /** An update that ends the attempt. */
  async #end(task, change) {
    let success = false;
    this.#claims.beginEnd(task);
    try {
      const answer = await this.#update(task, change);
      success = true;
      return answer;
    } finally {
      this.#claims.ended(task, success);
    }
  }

  /** One update of the task's record; of the present one if another program has written to it since. */
  async #update(task, change) {
    const path = `${this.#path}/tasks/${quote(task.task)}`;
    const body = JSON.stringify({ ...change, attempt: task.attempt });
    for (let tries = 1; ; tries += 1) {
      const headers = { "if-match": `"${task.revision}"`, "idempotency-key": randomUUID() };
      const ask = () => this.#client.insist("PATCH", path, body, { ...this.#authority(), ...headers });
      try {
        const answer = await this.#checked(ask);
        task.revision = answer.record.revision;
        return answer;
      } catch (error) {
        if (["stale-attempt", "wrong-state", "no-such-task", "no-such-plan"].includes(error.kind)) {
          const lost = new ClaimLost(error.status, error.document);
          this.#claims.lose(task, lost);
          throw lost;
        }
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
      this.#finish(error.message);
      throw new this.loss(error.message);
    }
  }
}

export class Ownership extends Session {
  token = "";

  get loss() {
    return OwnershipLost;
  }

  /** Whether the event is the one that the session was opened for. */
  opens({ name, data }) {
    if (name === "granted") this.token = data.token;
    return name === "granted";
  }

  /** The part of a session's document that says for how long to rely on it. */
  relied({ plans }) {
    const owned = plans?.find(({ plan }) => plan === this.plan);
    if (owned === undefined) throw new OwnershipLost("the session does not own the plan any more");
    return owned;
  }
}

export class Worker extends Session {
  opens({ name }) {
    return name === "session";
  }

  relied(document) {
    return document;
  }
}
