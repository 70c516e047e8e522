// Requests to the sidecar's interface, and what their refusals say.

/** A request that was refused, or not answered. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

const HEADERS = { 'Planlease-Request': 'true' };

/** How long an answer may take. */
const PATIENCE_MS = 15_000;

/** The operator's name, if they gave one: stands in the records. */
export const operator = {
  get: (): string => localStorage.getItem('operator') ?? '',
  set: (name: string): void => localStorage.setItem('operator', name.trim()),
};

async function refusal(response: Response): Promise<Refused> {
  const text = await response.text();
  try {
    const problem = JSON.parse(text) as { type?: string; title?: string; detail?: string };
    const kind = (problem.type ?? '').replace('urn:planlease:problem:', '');
    return new Refused(response.status, kind, problem.title ?? response.statusText, problem.detail ?? '');
  } catch {
    return new Refused(response.status, 'unknown', response.statusText, text.trim());
  }
}

async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const init: RequestInit = { method, headers: { ...HEADERS, ...headers }, signal, cache: 'no-store' };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...init.headers, 'Content-Type': 'application/json' };
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    throw new Refused(0, 'unreachable', 'The sidecar does not answer', String(error));
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function get<T>(path: string): Promise<T> {
  return (await (await ask('GET', path)).json()) as T;
}

/** A change of something, under the operator's name. */
export async function change(
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<void> {
  const name = operator.get();
  await ask(method, path, body, name ? { ...headers, 'Planlease-Operator': name } : headers);
}

/** Why the sidecar is not ready: it has lost etcd, or it drains; `null` if it is. */
export async function unready(): Promise<string | null> {
  try {
    await ask('GET', '/readyz');
    return null;
  } catch (error) {
    return error instanceof Refused && error.status === 503 ? error.detail : null;
  }
}

export const planPath = (plan: string): string => `/v1/plans/${encodeURIComponent(plan)}`;
export const orchestratorPath = (id: string): string => `/v1/orchestrators/${encodeURIComponent(id)}`;
export const taskPath = (plan: string, task: string): string => `${planPath(plan)}/tasks/${encodeURIComponent(task)}`;

/** The stream of every change, as long as it lasts. */
export function openEvents(after: number | null, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  return openStream('/v1/events', signal, after === null ? {} : { 'Last-Event-ID': String(after) });
}

/** A stream of events, as long as it lasts. */
export async function openStream(
  path: string,
  signal: AbortSignal,
  more: Record<string, string> = {},
): Promise<ReadableStream<Uint8Array>> {
  const headers = { ...HEADERS, ...more, Accept: 'text/event-stream' };
  const response = await fetch(path, { headers, signal, cache: 'no-store' });
  if (!response.ok || !response.body) throw await refusal(response);
  return response.body;
}
