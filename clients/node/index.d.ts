/** A claimed task. */
export interface Task {
  task: string;
  attempt: number;
  revision: number;
  description: string;
  steps: string[];
  command: string[] | null;
}

/** An event of a stream; `id` is the revision. */
export interface Event {
  id: number | null;
  name: string;
  data: any;
}

/** No answer came. An update was asked for again and again; whether it was done is not known. */
export class Unreachable extends Error {}

/** The sidecar says no (RFC 9457). `kind` is the end of its type, as `stale-revision`. */
export class Problem extends Error {
  readonly status: number;
  readonly kind: string;
  readonly document: Record<string, any>;
}

/** The plan is somebody else's by now, or nobody's. What was done by its right has to stop. */
export class OwnershipLost extends Error {}

export interface ClientOptions {
  /** The unix socket of the sidecar. Either this or `address`. */
  socket?: string;
  /** Its address, as `127.0.0.1:7420`; takes the token. */
  address?: string;
  token?: string;
  /** How long a connection may be silent, in milliseconds. Streams say every few seconds that they live. */
  timeout?: number;
}

export interface OwnOptions {
  /** What others see; it names one incarnation of this program. */
  name?: string;
  /** How long to wait in line, in seconds; as long as it takes by default. */
  wait?: number;
}

/** A sidecar. */
export class Client {
  constructor(options: ClientOptions);
  /** All plans, how far they are and who owns them. */
  plans(): Promise<any[]>;
  /** How far a plan is. */
  status(plan: string): Promise<any>;
  /** Makes a plan of the text of a plan file. Again with the same text, it stays as it is. */
  importPlan(plan: string, text: string, type?: "text/markdown" | "application/toml"): Promise<any>;
  /** Owns a plan; waits in line for it. */
  own(plan: string, options?: OwnOptions): Promise<Ownership>;
  /** Every change, in order, none twice and none left out, over any number of broken connections. */
  events(options?: { plans?: string[]; after?: number; signal?: AbortSignal }): AsyncGenerator<Event>;
  /** Reads a document. */
  get(path: string): Promise<any>;
  /** Asks once. Rejects with `Problem`, or `Unreachable`; after that it may have been done. */
  ask(method: string, path: string, body?: string, headers?: Record<string, string>): Promise<any>;
}

/** The right to one plan, for as long as its connection stands. */
export class Ownership {
  readonly plan: string;
  /** The fencing token: show it to whatever has to refuse a former owner. */
  readonly token: string;
  /** Aborted when it is over; the reason is an `OwnershipLost`. Give it to whatever has to stop then. */
  readonly signal: AbortSignal;
  /** For how many more milliseconds it can be believed in, if nothing more is heard; 0 if it is over. */
  trustedFor(): number;
  /** Claims up to `count` ready tasks with all of these labels. */
  claim(count?: number, labels?: string[]): Promise<Task[]>;
  complete(task: Task, notes?: string): Promise<any>;
  fail(task: Task, error: string): Promise<any>;
  giveBack(task: Task, reason: string): Promise<any>;
  progress(task: Task, text: string): Promise<any>;
  /** Lets go of the plan: the next one in line owns it at once. */
  release(): Promise<void>;
}
