// Small parts that several views share.

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { counted } from './format';
import type { PlanState, Status, Summary } from './types';

const STATUS_WORDS: Record<Status, string> = {
  pending: 'pending',
  in_progress: 'running',
  completed: 'done',
  failed: 'failed',
  skipped: 'skipped',
};

/** What is shown of a task: its status, and what the status alone does not say. */
export type TaskState = Status | 'ready' | 'parked' | 'lost';

export function stateWord(state: TaskState): string {
  return state === 'ready' ? 'ready' : state === 'parked' ? 'needs a decision' : state === 'lost' ? 'lost' : STATUS_WORDS[state];
}

export function TaskDot({ state }: { state: TaskState }) {
  return <span class={`dot s-${state}`} aria-hidden="true" />;
}

export function TaskBadge({ state }: { state: TaskState }) {
  return (
    <span class={`badge s-${state}`}>
      <TaskDot state={state} />
      {stateWord(state)}
    </span>
  );
}

export function PlanBadge({ state }: { state: PlanState }) {
  return (
    <span class={`badge p-${state}`}>
      <span class="dot" aria-hidden="true" />
      {state.replace('_', ' ')}
    </span>
  );
}

/** How far it is: done, skipped, running, failed, each a part of the bar. */
export function Progress({ summary }: { summary: Summary }) {
  const { total, completed, skipped, in_progress, failed } = summary;
  const width = (n: number) => ({ width: total ? `${(n / total) * 100}%` : '0' });
  const ended = completed + skipped;
  const words = [counted(ended, 'task') + ` of ${total} done`];
  if (in_progress) words.push(`${in_progress} running`);
  if (failed) words.push(`${failed} failed`);
  return (
    <div class="progress" role="img" aria-label={words.join(', ')}>
      <div class="bar">
        <i class="completed" style={width(completed)} />
        <i class="skipped" style={width(skipped)} />
        <i class="in_progress" style={width(in_progress)} />
        <i class="failed" style={width(failed)} />
      </div>
      <span class="count" aria-hidden="true">
        {ended}
        <small>/{total}</small>
      </span>
    </div>
  );
}

/** A text of others: isolated, so that it cannot turn the direction of its surroundings. */
export function Text({ children, mono }: { children: ComponentChildren; mono?: boolean }) {
  return <bdi class={mono ? 'mono' : undefined}>{children}</bdi>;
}

export function Copy({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    void navigator.clipboard?.writeText(text).then(() => setCopied(true));
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button type="button" class="quiet" onClick={copy}>
      {copied ? 'Copied' : 'Copy'}
    </button>
  );
}
