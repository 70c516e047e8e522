// What the page knows of the fleet: a copy kept up to date by changes, and how old it is.

import type {
  Change,
  Changes,
  FleetAsked,
  Halted,
  Needed,
  Orchestrator,
  Owner,
  PlanContents,
  PlanState,
  Snapshot,
  Summary,
  Task,
  Term,
  Waiting,
  Worktree,
} from './types';

/** One plan. `version` grows with each change of it. */
export interface Plan {
  plan: string;
  title: string;
  state: PlanState;
  halted: Halted | null;
  summary: Summary;
  owner: Owner | null;
  waiting: Waiting[];
  lastTerm: Term | null;
  tasks: Map<string, Task>;
  version: number;
  /** Grows with each new definition. */
  defined: number;
}

export interface FeedEntry {
  key: number;
  revision: number;
  change: Change;
  heard: number;
}

/** How the connection is: the page greys out unless it is live. */
export type Link =
  | { state: 'connecting' }
  | { state: 'live' }
  | { state: 'broken'; why: string; retryAt: number }
  | { state: 'signed-out' };

/** How many changes the feed keeps. */
const FEED = 200;

export class Model {
  plans = new Map<string, Plan>();
  orchestrators: Orchestrator[] = [];
  /** What is asked of the whole fleet; `null` before it was read. */
  fleet: FleetAsked | null = null;
  attention: Needed[] = [];
  worktrees: Worktree[] = [];
  feed: FeedEntry[] = [];
  revision: number | null = null;
  link: Link = { state: 'connecting' };
  /** When something was last heard from the sidecar, by this machine's clock. */
  heardAt = 0;
  /** Why the sidecar itself cannot be believed, if it cannot. */
  trouble: string | null = null;
  version = 0;

  private listeners = new Set<() => void>();
  private scheduled = false;
  private nextKey = 0;

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Has the page drawn again, once per frame at most. */
  touch(): void {
    this.version++;
    if (this.scheduled) return;
    this.scheduled = true;
    const draw = (): void => {
      this.scheduled = false;
      for (const listener of this.listeners) listener();
    };
    // A hidden page has no frames; it is drawn all the same, so that it is right when it is shown.
    if (document.hidden) setTimeout(draw, 250);
    else requestAnimationFrame(draw);
  }

  replace(snapshot: Snapshot): void {
    const before = this.plans;
    this.plans = new Map(snapshot.plans.map((plan) => [plan.plan, made(plan, before.get(plan.plan))]));
    this.revision = snapshot.revision;
    this.touch();
  }

  apply(set: Changes): void {
    for (const change of set.changes) {
      this.applyOne(change);
      this.feed.unshift({ key: this.nextKey++, revision: set.revision, change, heard: Date.now() });
    }
    this.feed.length = Math.min(this.feed.length, FEED);
    for (const [name, state] of Object.entries(set.states ?? {})) {
      const plan = this.plans.get(name);
      if (plan) plan.state = state;
    }
    this.revision = set.revision;
    this.touch();
  }

  private applyOne(change: Change): void {
    if (change.change === 'plan_appeared') {
      this.plans.set(change.plan, made(change, this.plans.get(change.plan)));
      return;
    }
    if (change.change === 'plan_gone') {
      this.plans.delete(change.plan);
      return;
    }
    if (change.change === 'orchestrator_changed') {
      const one = this.orchestrators.find((other) => other.orchestrator === change.orchestrator);
      if (one) one.load = change.load;
      return;
    }
    const plan = 'plan' in change ? this.plans.get(change.plan) : undefined;
    if (!plan) return;
    plan.version++;
    switch (change.change) {
      case 'task': {
        const { change: _, plan: __, before: ___, at: ____, ...record } = change;
        const known = plan.tasks.get(change.task);
        if (known) plan.summary[known.status]--;
        else plan.summary.total++;
        plan.summary[change.status]++;
        plan.tasks.set(change.task, { description: '', depends_on: [], ...known, cancel: null, approval: null, ...record });
        break;
      }
      case 'task_gone': {
        const known = plan.tasks.get(change.task);
        if (known) {
          plan.summary[known.status]--;
          plan.summary.total--;
          plan.tasks.delete(change.task);
        }
        break;
      }
      case 'redefined':
        plan.title = change.title;
        plan.defined++;
        break;
      case 'halted':
        plan.halted = change.halted;
        break;
      case 'ownership':
        plan.owner = change.owner;
        plan.waiting = change.waiting;
        plan.lastTerm = change.last_term;
        break;
    }
  }
}

function made(plan: PlanContents, before: Plan | undefined): Plan {
  return {
    plan: plan.plan,
    title: plan.title,
    state: plan.state,
    halted: plan.halted,
    summary: { ...plan.summary },
    owner: plan.owner,
    waiting: plan.waiting,
    lastTerm: plan.last_term,
    tasks: new Map(plan.tasks.map((task) => [task.task, task])),
    version: (before?.version ?? 0) + 1,
    defined: (before?.defined ?? 0) + 1,
  };
}

/** The states, most pressing first; the order is that of the list. */
export const PLAN_STATES: PlanState[] = [
  'needs_decision',
  'failed',
  'stuck',
  'running',
  'waiting',
  'paused',
  'done',
  'cancelled',
  'archived',
];

/** Whether a person has to act before the plan goes on, or before all of it does. */
export const needsPerson = (state: PlanState): boolean => state === 'needs_decision' || state === 'failed' || state === 'stuck';
