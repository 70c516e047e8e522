// Keeps the model live: follows the events, comes back after a break, and asks for what the events do not have.

import { get, openEvents, Refused, unready } from './api';
import type { Model } from './model';
import { EventReader } from './sse';
import type { Changes, FleetAsked, Needed, Orchestrator, Snapshot, Worktree } from './types';

/** The sidecar says something every 5 s; after this long the connection is taken for broken. */
const SILENCE_MS = 12_000;
/** The pauses between attempts to come back: doubled up to a bound, and up to half as long again. */
const PAUSE_MS = { first: 500, most: 10_000 };
/** How often it is asked for what the events do not have. */
const EVERY_MS = 3_000;
/** How long changes are gathered before it is asked what needs a person. */
const GATHER_MS = 250;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Follows the events for as long as the page is open. */
export async function follow(model: Model): Promise<never> {
  let pause = PAUSE_MS.first;
  for (;;) {
    const why = await followOnce(model, () => (pause = PAUSE_MS.first));
    const wait = pause * (1 + Math.random() / 2);
    if (why instanceof Refused && why.status === 401) {
      model.link = { state: 'signed-out' };
    } else {
      const words = why instanceof Refused ? why.message : 'the connection to the sidecar broke';
      model.link = { state: 'broken', why: words, retryAt: Date.now() + wait };
    }
    model.touch();
    await sleep(wait);
    pause = Math.min(pause * 2, PAUSE_MS.most);
  }
}

/** Follows one stream to its end; returns why it ended. */
async function followOnce(model: Model, onLive: () => void): Promise<unknown> {
  const abort = new AbortController();
  let silence = setTimeout(() => abort.abort(), SILENCE_MS);
  const heard = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => abort.abort(), SILENCE_MS);
    model.heardAt = Date.now();
    if (model.link.state !== 'live' && model.revision !== null) {
      model.link = { state: 'live' };
      model.touch();
    }
  };
  const reader = new EventReader((event) => {
    if (event.name === 'changes') model.apply(JSON.parse(event.data) as Changes);
    else if (event.name === 'snapshot' || event.name === 'resync') model.replace(JSON.parse(event.data) as Snapshot);
    onLive();
    heard();
    askSoon(model);
  }, heard);
  try {
    const body = (await openEvents(model.revision, abort.signal)).getReader();
    for (;;) {
      const { done, value } = await body.read();
      if (done) return 'the stream ended';
      reader.push(value);
    }
  } catch (error) {
    return error;
  } finally {
    clearTimeout(silence);
    abort.abort();
  }
}

let asking: ReturnType<typeof setTimeout> | null = null;

function askSoon(model: Model): void {
  asking ??= setTimeout(async () => {
    try {
      model.attention = (await get<{ attention: Needed[] }>('/v1/attention')).attention;
      model.touch();
    } catch {
      // The link says what is wrong; it is asked again with the next change, or in a moment.
    } finally {
      asking = null;
    }
  }, GATHER_MS);
}

/** Reads how the orchestrators are, and what is asked of them. */
export async function refreshFleet(model: Model): Promise<void> {
  await Promise.allSettled([
    get<{ orchestrators: Orchestrator[] }>('/v1/orchestrators').then(({ orchestrators }) => {
      model.orchestrators = orchestrators;
    }),
    get<FleetAsked>('/v1/fleet').then((fleet) => (model.fleet = fleet)),
  ]);
  model.touch();
}

/**
 * Asks for what the events do not have, again and again: renewals, what is asked of the fleet, worktrees, whether the
 * sidecar can be believed.
 */
export async function poll(model: Model): Promise<never> {
  for (let turn = 0; ; turn++) {
    if (!document.hidden && model.link.state === 'live') {
      await Promise.allSettled([
        refreshFleet(model),
        unready().then((why) => (model.trouble = why)),
        turn % 5 === 0
          ? get<{ worktrees: Worktree[] }>('/v1/worktrees').then(({ worktrees }) => (model.worktrees = worktrees))
          : null,
      ]);
      askSoon(model);
      model.touch();
    }
    await sleep(EVERY_MS);
  }
}
