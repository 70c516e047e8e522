/** A claimed task. */
export interface Task {
  task: string;
  attempt: number;
  revision: number;
  description: string;
  steps: string[];
  command: string[] | null;
  /** Aborted when the attempt is over without this program's doing. */
  signal: AbortSignal;
}

/** An event of a stream; `id` is the revision. */
export interface Event {
  id: number | null;
  name: string;
  data: any;
}

/** No answer came. An update was repeated; whether it was made is not known. */
export class Unreachable extends Error {}

/** The answer, or an event, is not what the sidecar's interface says. */
export class Malformed extends Error {}

/** The sidecar refused the request (RFC 9457). `kind` is the end of the problem's type, as `stale-revision`. */
export class Problem extends Error {
  readonly status: number;
  readonly kind: string;
  readonly document: Record<string, any>;
  /** Whether the same request may succeed later. */
  readonly passing: boolean;
}

/** The attempt is over: the task was given back, ended or claimed again. Stop working on it. */
export class ClaimLost extends Problem {}

/** The session is over, with everything that it had. Stop all work that depends on it. */
export class SessionLost extends Error {}

/** The plan is not this program's any more. Stop all work that depends on it. */
export class OwnershipLost extends SessionLost {}

export interface ClientOptions {
  /** The path of the sidecar's unix socket. Pass either this or `address`. */
  socket?: string;
  /**
   * One of `127.0.0.1:7420`, `[::1]:7420`, `http://localhost:7420`, `https://sidecar.example` (TLS in front of the sidecar)
   * and `unix:/path`. Over TCP the sidecar demands its token.
   */
  address?: string;
  token?: string;
  /** How long a connection may be silent, in milliseconds. The sidecar sends something on its streams every few seconds. */
  timeout?: number;
}

export interface WorkOptions {
  /** The name that others see; each incarnation of this program needs another one. */
  name?: string;
}

export interface OwnOptions extends WorkOptions {
  /** How long to wait in the queue, in seconds; without a limit by default. */
  wait?: number;
}

/** A sidecar. */
export class Client {
  constructor(options: ClientOptions);
  readonly timeout: number;
  /** All plans, with their progress and their owners. */
  plans(): Promise<any[]>;
  /** The progress of a plan. */
  status(plan: string): Promise<any>;
  /** Imports the text of a plan file. The same text again changes nothing. */
  importPlan(plan: string, text: string, type?: "text/markdown" | "application/toml" | "application/json" | "application/x-ndjson"): Promise<any>;
  /** Acquires a plan; waits in its queue. Rejects with a `Problem` of kind `held` if the plan is not free in time. */
  own(plan: string, options?: OwnOptions): Promise<Ownership>;
  /** Opens a session that claims tasks of a plan which another program owns, or none. */
  work(plan: string, options?: WorkOptions): Promise<Worker>;
  /** Every change once and in order, over any number of broken connections. */
  events(options?: { plans?: string[]; after?: number; signal?: AbortSignal }): AsyncGenerator<Event>;
  /** Reads a document. */
  get(path: string): Promise<any>;
  /** Sends a request once. Rejects with `Problem`, or `Unreachable`: then it may have been done. */
  ask(method: string, path: string, body?: string, headers?: Record<string, string>, timeout?: number): Promise<any>;
}

/** A session, for as long as its connection lasts. */
declare abstract class Session {
  private constructor();
  readonly plan: string;
  /** The name that others see. */
  readonly name: string;
  /** Whether the sidecar is about to end: begin nothing new, finish and release. False again if that is undone. */
  readonly draining: boolean;
  /** Aborted when the session is over; the reason is a `SessionLost`. Pass it to what has to stop then. */
  readonly signal: AbortSignal;
  /** For how many more milliseconds the session can be relied on, without further news; 0 if it is over. */
  trustedFor(): number;
  /** Claims up to `count` ready tasks with all of these labels. No two sessions get the same one. */
  claim(count?: number, labels?: string[]): Promise<Task[]>;
  /** Marks a task completed. Rejects with `ClaimLost` if the attempt is over. */
  complete(task: Task, notes?: string): Promise<any>;
  /** Marks a task failed. Rejects with `ClaimLost` if the attempt is over. */
  fail(task: Task, error: string): Promise<any>;
  /** Returns a task that was not worked on: the attempt does not count as a failure. */
  giveBack(task: Task, reason: string): Promise<any>;
  /** Reports progress: the heartbeat of a task. Rejects with `ClaimLost` if the attempt is over. */
  progress(task: Task, text: string): Promise<any>;
  /** Ends the session in order: what it owns and claims is free immediately. */
  release(): Promise<void>;
}

/** The authority over one plan, made by `Client.own`. The reason of its `signal` is an `OwnershipLost`. */
export class Ownership extends Session {
  /** The fencing token: pass it to what has to refuse a former owner. */
  readonly token: string;
}

/**
 * A session that claims tasks of a plan without owning it, made by `Client.work`. The `signal` of a task aborts when its
 * claim is lost: the owner or an operator took the task back, or the plan was deleted.
 */
export class Worker extends Session {}

export {};
