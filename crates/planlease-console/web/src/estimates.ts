// How long plans may still take: asked for only of plans that are shown, a few at a time, and kept for a while.

import { get, planPath } from './api';
import type { Model, Plan } from './model';
import type { Estimate } from './types';

const FRESH_MS = 15_000;
const AT_ONCE = 4;
const KEPT = 500;

interface Known {
  at: number;
  version: number;
  estimate: Estimate | null;
}

export class Estimates {
  private known = new Map<string, Known>();
  private queue: Plan[] = [];
  private running = 0;

  constructor(private readonly model: Model) {}

  /** What is known of the plan; what is missing or old is asked for. */
  of(plan: Plan): Estimate | null {
    const known = this.known.get(plan.plan);
    const old = !known || (known.version !== plan.version && Date.now() - known.at > FRESH_MS);
    if (old && !this.queue.includes(plan)) {
      this.queue.push(plan);
      queueMicrotask(() => this.next());
    }
    return known?.estimate ?? null;
  }

  private next(): void {
    while (this.running < AT_ONCE && this.queue.length) void this.ask(this.queue.pop()!);
    this.queue.length = Math.min(this.queue.length, 50);
  }

  private async ask(plan: Plan): Promise<void> {
    this.running++;
    const { version } = plan;
    const estimate = await get<Estimate>(`${planPath(plan.plan)}/estimate`).catch(() => null);
    this.running--;
    if (this.known.size > KEPT) this.known.clear();
    this.known.set(plan.plan, { at: Date.now(), version, estimate });
    this.model.touch();
    this.next();
  }
}
