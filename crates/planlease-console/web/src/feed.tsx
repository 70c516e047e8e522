// What changes, as it happens.

import { ago, short } from './format';
import { href, useModel, useNow } from './hooks';
import type { FeedEntry } from './model';
import { Text, type TaskState, TaskDot } from './parts';
import type { Change } from './types';

const SHOWN = 40;

interface Line {
  state: TaskState;
  subject: string;
  href: string | null;
  words: string;
}

const TASK_WORDS = { pending: 'was put back', in_progress: 'started', completed: 'is done', failed: 'failed', skipped: 'was skipped' } as const;

/** A change in a line; `null` for what says nothing to people. */
export function lineOf(change: Change): Line | null {
  switch (change.change) {
    case 'task': {
      const subject = `${change.plan} / ${change.task}`;
      const link = href(change.plan, 'tasks', change.task);
      if (change.before === change.status) {
        if (!change.progress) return null;
        return { state: change.status, subject, href: link, words: change.progress };
      }
      const by = change.claim?.by ?? change.written_by;
      const why = change.status === 'failed' ? (change.parked ?? change.error) : null;
      const words = `${TASK_WORDS[change.status]}${why ? `: ${why}` : change.status === 'in_progress' ? ` by ${by}` : ''}`;
      return { state: change.status === 'failed' && change.parked ? 'parked' : change.status, subject, href: link, words };
    }
    case 'ownership': {
      if (change.what === 'waiting' || change.what === 'left' || change.what === 'amended') return null;
      const words = { acquired: 'owned by', released: 'released by', handed_over: 'handed over by', expired: 'lost by', forced: 'taken from' }[change.what];
      const state: TaskState = change.what === 'expired' || change.what === 'forced' ? 'lost' : 'ready';
      return { state, subject: change.plan, href: href(change.plan), words: `${words ?? change.what} ${change.orchestrator ?? 'its owner'}` };
    }
    case 'halted': {
      const words = change.halted ? `${change.halted.how} by ${change.halted.by}: ${change.halted.why}` : 'goes on';
      return { state: change.halted ? 'parked' : 'ready', subject: change.plan, href: href(change.plan), words };
    }
    case 'plan_appeared':
      return { state: 'ready', subject: change.plan, href: href(change.plan), words: 'was imported' };
    case 'plan_gone':
      return { state: 'skipped', subject: change.plan, href: null, words: 'was deleted' };
    case 'redefined':
      return { state: 'ready', subject: change.plan, href: href(change.plan), words: 'was edited' };
    case 'orchestrator_appeared':
      return { state: 'ready', subject: change.orchestrator, href: null, words: `is here, on ${change.host}` };
    case 'orchestrator_gone':
      return { state: 'lost', subject: change.orchestrator, href: null, words: 'is gone' };
    case 'unreadable':
      return { state: 'failed', subject: change.key, href: null, words: change.reason ?? 'can be read again' };
    default:
      return null;
  }
}

export function Feed({ plan }: { plan?: string }) {
  const model = useModel();
  const now = useNow();
  const lines: [FeedEntry, Line][] = [];
  for (const entry of model.feed) {
    if (lines.length >= SHOWN) break;
    if (plan && !('plan' in entry.change && entry.change.plan === plan)) continue;
    const line = lineOf(entry.change);
    if (line) lines.push([entry, line]);
  }
  return (
    <section class="panel feed" aria-label="Changes">
      <header>
        <h2>Changes</h2>
        <span class="muted">live</span>
      </header>
      {!lines.length && <p class="empty">Nothing has changed since the page was opened.</p>}
      <ol>
        {lines.map(([entry, line]) => (
          <li key={entry.key}>
            <TaskDot state={line.state} />
            <span>
              {line.href ? (
                <a href={line.href}>
                  <Text>{line.subject}</Text>
                </a>
              ) : (
                <b>
                  <Text>{line.subject}</Text>
                </b>
              )}{' '}
              <Text>{short(line.words, 120)}</Text>
            </span>
            <time title={`revision ${entry.revision}`}>{ago(new Date(entry.heard).toISOString(), now)}</time>
          </li>
        ))}
      </ol>
    </section>
  );
}
