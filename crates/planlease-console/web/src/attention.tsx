// What needs a person, before everything else.

import { useState } from 'preact/hooks';
import { ago, short } from './format';
import { href, useModel, useNow } from './hooks';
import { type Model, needsPerson } from './model';
import { runsOut } from './orchestrators';
import { Text } from './parts';

interface Item {
  key: string;
  kind: string;
  style: string;
  where: string;
  href: string | null;
  what: string;
  next: string;
  since: string | null;
}

const WORDS: Record<string, { kind: string; style: string; next: string }> = {
  decision: { kind: 'Needs a decision', style: 'parked', next: 'decide: see the task' },
  approval: { kind: 'Needs approval', style: 'parked', next: 'approve or reject it' },
  failed: { kind: 'Failed for good', style: 'failed', next: 'retry it, or skip it' },
  lost: { kind: 'Lost task', style: 'lost', next: 'start an orchestrator, or retry it' },
  unowned: { kind: 'No owner', style: 'lost', next: 'start an orchestrator' },
  unrunnable: { kind: 'No orchestrator runs it', style: 'parked', next: 'start an orchestrator that can, or edit the plan' },
};

/** How many are shown before the rest is asked for. */
const FIRST = 5;

/** Everything in the fleet that needs a person. */
export function needs(model: Model): Item[] {
  const needed = model.attention.map((one): Item => {
    const { kind, style, next } = WORDS[one.need] ?? { kind: one.need, style: 'lost', next: '' };
    const where = one.task === null ? one.plan : `${one.plan} / ${one.task}`;
    const link = href(one.plan, 'tasks', one.task);
    return { key: `${one.need} ${where}`, kind, style, where, href: link, what: one.what, next, since: one.since };
  });
  // What the state says and no task does: a record that cannot be read, say.
  const told = new Set(model.attention.map((one) => one.plan));
  const stuck = [...model.plans.values()]
    .filter((plan) => needsPerson(plan.state) && !told.has(plan.plan))
    .map((plan): Item => {
      const { plan: where, state } = plan;
      const what = state === 'stuck' ? 'tasks are left, and nothing goes on by itself' : `the plan ${state.replace('_', ' ')}`;
      return { key: `state ${where}`, kind: 'Stuck', style: 'failed', where, href: href(where, 'why'), what, next: 'see why', since: null };
    });
  const silent = model.orchestrators
    .filter(runsOut)
    .map((one): Item => {
      const what = `last renewal ${one.renewed_ago_s} s ago; its ${one.owns.length} plans are free after ${one.ttl_s} s`;
      return { key: `trust ${one.orchestrator}`, kind: 'Trust runs out', style: 'parked', where: one.orchestrator, href: null, what, next: `look at ${one.host}`, since: null };
    });
  const left = model.worktrees
    .filter((one) => one.abandoned)
    .map((one): Item => {
      const what = `abandoned worktree on ${one.host}: ${one.path}`;
      return { key: `worktree ${one.name}`, kind: 'Orphaned worktree', style: 'skipped', where: one.name, href: href(one.plan), what, next: 'planlease worktree clean', since: one.since };
    });
  return [...needed, ...stuck, ...silent, ...left];
}

export function Attention() {
  const model = useModel();
  const now = useNow(5000);
  const [all, setAll] = useState(false);
  const found = needs(model);
  if (!found.length) return null;
  const shown = all ? found.slice(0, 200) : found.slice(0, FIRST);
  return (
    <section class="panel attention" aria-label="Needs you">
      <header>
        <h2>Needs you</h2>
        <span class="pill">{found.length}</span>
        {found.length > FIRST && (
          <button type="button" class="quiet" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? 'Show fewer' : `Show all ${found.length}`}
          </button>
        )}
      </header>
      <ul>
        {shown.map((item) => (
          <li key={item.key} class={`need s-${item.style}`}>
            <span class="kind">
              <span class={`dot s-${item.style}`} aria-hidden="true" />
              {item.kind}
            </span>
            {item.href ? (
              <a href={item.href} class="where">
                <Text>{item.where}</Text>
              </a>
            ) : (
              <span class="where">
                <Text>{item.where}</Text>
              </span>
            )}
            <span class="what">
              <Text>{short(item.what, 160)}</Text>
            </span>
            <span class="next">{item.next}</span>
            <span class="when">{item.since ? ago(item.since, now) : ''}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
