// The output of the selected task, attempt by attempt, as it is written.

import { useEffect, useRef, useState } from 'preact/hooks';
import { openStream, Refused, taskPath } from './api';
import { command, since } from './format';
import { href, useNow } from './hooks';
import { MAX_LINES, OutputView } from './output';
import { TaskDot, Text } from './parts';
import type { PlanTask, PlanViewProps } from './plan';
import { EventReader } from './sse';
import type { LogEvent } from './types';

/** How many attempts can be chosen: the last ones. */
const MOST_ATTEMPTS = 50;
/** How many tasks are offered where none is selected. */
const MOST_TASKS = 30;
/** The pauses between attempts to read again after a break: doubled up to a bound. */
const PAUSE_MS = { first: 500, most: 10_000 };

/** How reading is; and what is wrong, if something is. */
interface Reading {
  state: 'reading' | 'over' | 'broken';
  attempt: number | null;
  by: string;
  source: 'files' | 'host' | 'etcd' | null;
  trouble: string | null;
}

const NOTHING: Reading = { state: 'reading', attempt: null, by: '', source: null, trouble: null };

const SOURCES = {
  files: "from the files of the sidecar's host",
  host: "from the orchestrator's host",
  etcd: 'from etcd, which keeps the beginning and the end',
};

export function Logs({ plan, tasks, selected }: PlanViewProps) {
  const task = selected === null ? undefined : plan.tasks.get(selected);
  if (selected === null || !task) return <Choose plan={plan.plan} tasks={tasks} />;
  return <Pane key={selected} plan={plan.plan} task={selected} attempts={task.attempt} runs={task.status === 'in_progress'} />;
}

/** Where no task is selected: those that run, and those that failed or ended last. */
function Choose({ plan, tasks }: { plan: string; tasks: PlanTask[] }) {
  const begun = tasks.filter((task) => task.attempt > 0);
  const place = (task: PlanTask): number => (task.status === 'in_progress' ? 0 : task.status === 'failed' ? 1 : 2);
  const shown = begun.sort((a, b) => place(a) - place(b) || (b.started_at ?? '').localeCompare(a.started_at ?? '')).slice(0, MOST_TASKS);
  return (
    <section class="panel logs" aria-label="Logs">
      <p class="hint muted">{shown.length ? 'Choose a task to see its output.' : 'No task of this plan was started yet, so there is no output.'}</p>
      <ul class="choose">
        {shown.map((task) => (
          <li key={task.task}>
            <a href={href(plan, 'logs', task.task)}>
              <TaskDot state={task.state} />
              <b>
                <Text>{task.task}</Text>
              </b>{' '}
              <Text>{task.description}</Text>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

interface PaneProps {
  plan: string;
  task: string;
  attempts: number;
  runs: boolean;
}

function Pane({ plan, task, attempts, runs }: PaneProps) {
  const now = useNow();
  const [chosen, setChosen] = useState<number | null>(null);
  const [wrap, setWrap] = useState(true);
  const [reading, setReading] = useState(NOTHING);
  const [lines, setLines] = useState(0);
  const [heard, setHeard] = useState<string | null>(null);
  const [atEnd, setAtEnd] = useState(true);
  const scroller = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const toEnd = (): void => {
    follows.current = true;
    setAtEnd(true);
    scroller.current?.scrollTo(0, scroller.current.scrollHeight);
  };
  // A person has put the task back after its end: there is more to read.
  const again = reading.state === 'over' && chosen === null && reading.attempt !== null && attempts > reading.attempt;
  const round = useRef(0);
  if (again) round.current = attempts;
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const view = new OutputView(element, (count) => {
      setLines(count);
      if (follows.current) element.scrollTo(0, element.scrollHeight);
    });
    const abort = new AbortController();
    const query = chosen === null ? `tail=${MAX_LINES}` : `tail=${MAX_LINES}&attempt=${chosen}`;
    void follow(`${taskPath(plan, task)}/logs?${query}`, view, setReading, setHeard, abort.signal);
    return () => {
      abort.abort();
      view.stop();
      element.replaceChildren();
    };
  }, [plan, task, chosen, round.current]);
  const first = Math.max(1, attempts - MOST_ATTEMPTS + 1);
  const numbers = Array.from({ length: Math.max(0, attempts - first + 1) }, (_, n) => attempts - n);
  const words =
    reading.state === 'broken'
      ? 'the connection broke; reading again'
      : reading.state === 'over'
        ? 'nothing more comes'
        : reading.attempt === null
          ? runs
            ? 'waiting for output'
            : 'waiting for the next attempt'
          : heard
            ? `live, last output ${since(heard, now)} ago`
            : 'live';
  const line = command('planlease', 'logs', plan, task, ...(chosen === null ? ['-f'] : ['--attempt', String(chosen)]));
  return (
    <section class="panel logs" aria-label={`Logs of task ${task}`}>
      <header>
        <h2>
          Output of <Text>{task}</Text>
        </h2>
        <select aria-label="Attempt" value={String(chosen ?? '')} onChange={(event) => setChosen(Number(event.currentTarget.value) || null)}>
          <option value="">latest attempt, and further ones</option>
          {numbers.map((n) => (
            <option key={n} value={String(n)}>{`attempt ${n}`}</option>
          ))}
        </select>
        <label class="check">
          <input type="checkbox" checked={wrap} onChange={(event) => setWrap(event.currentTarget.checked)} /> wrap
        </label>
      </header>
      <p class={`reading ${reading.state}`} role="status">
        <span class="pulse" aria-hidden="true" />
        <span>
          {reading.attempt !== null && `attempt ${reading.attempt}, `}
          {reading.by && (
            <>
              by <Text>{reading.by}</Text>,{' '}
            </>
          )}
          {words}
          {reading.source && <span class="muted"> · {SOURCES[reading.source]}</span>}
          {lines >= MAX_LINES - 200 && <span class="muted"> · the last {MAX_LINES.toLocaleString('en')} lines are kept here</span>}
        </span>
      </p>
      {reading.trouble && (
        <p class="refused" role="alert">
          <Text>{reading.trouble}</Text>
        </p>
      )}
      <div
        class={`output ${wrap ? 'wrap' : ''}`}
        ref={scroller}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={`Output of task ${task}`}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          follows.current = scrollHeight - scrollTop - clientHeight < 24;
          if (follows.current !== atEnd) setAtEnd(follows.current);
        }}
      />
      <footer>
        <code>
          <Text>{line}</Text>
        </code>
        {!atEnd && (
          <button type="button" class="quiet" onClick={toEnd}>
            To the end
          </button>
        )}
      </footer>
    </section>
  );
}

type Report = (change: (before: Reading) => Reading) => void;

/** Reads until nothing more comes; after a break from the beginning again. */
async function follow(
  path: string,
  view: OutputView,
  report: Report,
  heard: (at: string | null) => void,
  signal: AbortSignal,
): Promise<void> {
  let pause = PAUSE_MS.first;
  while (!signal.aborted) {
    view.clear();
    report(() => NOTHING);
    heard(null);
    let settled = false;
    const reader = new EventReader(
      (event) => {
        pause = PAUSE_MS.first;
        settled = take(event.name, JSON.parse(event.data) as LogEvent, view, report, heard);
      },
      () => {},
    );
    let trouble: string | null = null;
    try {
      const body = (await openStream(path, signal)).getReader();
      for (;;) {
        const { done, value } = await body.read();
        if (done) break;
        reader.push(value);
      }
    } catch (error) {
      if (signal.aborted) return;
      trouble = error instanceof Refused ? error.message : null;
      if (error instanceof Refused && error.status >= 400 && error.status < 500) {
        report((before) => ({ ...before, state: 'over', trouble }));
        return;
      }
    }
    if (settled && trouble === null) {
      report((before) => ({ ...before, state: 'over' }));
      return;
    }
    report((before) => ({ ...before, state: 'broken', trouble: trouble ?? before.trouble }));
    await new Promise((resolve) => setTimeout(resolve, pause * (1 + Math.random() / 2)));
    pause = Math.min(pause * 2, PAUSE_MS.most);
  }
}

/** Shows an event; whether the stream may end after it. */
function take(name: string, event: LogEvent, view: OutputView, report: Report, heard: (at: string | null) => void): boolean {
  const { attempt, why = '' } = event;
  switch (name) {
    case 'attempt':
      report((before) => {
        if (before.attempt !== attempt) view.mark(`attempt ${attempt}${event.by ? ` by ${event.by}` : ''}`);
        return { state: 'reading', attempt, by: event.by ?? '', source: event.source ?? null, trouble: null };
      });
      return false;
    case 'output':
      heard(event.at ?? null);
      view.append(event.text ?? '');
      return false;
    case 'left_out':
      view.mark(`${(event.bytes ?? 0).toLocaleString('en')} bytes are left out here`);
      return false;
    case 'stored': {
      const gone = 'The output itself cannot be had: no host that may have it answers. etcd keeps the beginning and the end of it';
      report(() => ({ state: 'over', attempt, by: '', source: 'etcd', trouble: `${gone}, ${(event.bytes ?? 0).toLocaleString('en')} bytes in all.` }));
      view.mark(`attempt ${attempt}, as etcd has it`);
      view.append(event.text ?? '');
      return true;
    }
    case 'ended':
      view.mark(event.how ? `attempt ${attempt} ${event.how}` : `attempt ${attempt}: the process that ran it is gone`, event.how?.endsWith(' 0') ? '' : 'bad');
      return true;
    case 'trouble': {
      const shown = 'What is below was read before; it is asked again every second as long as the attempt runs.';
      report((before) => ({ ...before, trouble: `The host that has the output does not answer: ${why}. ${shown}` }));
      return false;
    }
    case 'not_kept':
      report((before) => ({ ...before, attempt, source: null, trouble: `The output of attempt ${attempt} is not kept anywhere: ${why}.` }));
      return true;
    case 'not_begun':
      report((before) => ({ ...before, trouble: `Attempt ${attempt} has not begun: ${why}.` }));
      return true;
    case 'failed':
      report((before) => ({ ...before, trouble: why }));
      return false;
    default:
      return false;
  }
}
