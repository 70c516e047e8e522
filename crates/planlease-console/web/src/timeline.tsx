// When what ran: the terms of the owners as bands, and the attempts of the tasks as bars.

import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { planPath } from './api';
import { clock, duration, since } from './format';
import { useFetched, useNow } from './hooks';
import { stateWord, Text, type TaskState } from './parts';
import type { PlanViewProps } from './plan';
import type { Term } from './types';

const ROW = 24;
const BEYOND = 10;

/** The stretches of time that can be looked at. */
const SPANS: [string, number | null][] = [
  ['All', null],
  ['1 h', 3_600_000],
  ['10 min', 600_000],
];

interface Bar {
  task: string;
  attempt: number;
  by: string;
  from: number;
  to: number | null;
  state: TaskState;
}

/** The attempts that the records have, the earliest first. */
function bars(tasks: PlanViewProps['tasks']): Bar[] {
  const found = tasks.flatMap((task): Bar[] => {
    if (!task.started_at) return [];
    const to = task.status === 'in_progress' || !task.ended_at ? null : Date.parse(task.ended_at);
    const by = task.claim?.by ?? task.written_by;
    return [{ task: task.task, attempt: task.attempt, by, from: Date.parse(task.started_at), to, state: task.state }];
  });
  return found.sort((a, b) => a.from - b.from);
}

export function Timeline({ plan, tasks, selected, select }: PlanViewProps) {
  const now = useNow();
  const terms = useFetched<{ terms: Term[] }>(`${planPath(plan.plan)}/terms`, `${plan.owner?.term} ${plan.lastTerm?.ended?.at}`);
  const all = useMemo(() => bars(tasks), [tasks]);
  const [span, setSpan] = useState<number | null>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(500);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const runs = all.some((bar) => bar.to === null) || plan.owner !== null;
  const known = terms.value?.terms ?? [];
  const ends = [...all.map((bar) => bar.to ?? now), ...known.map((term) => (term.ended ? Date.parse(term.ended.at) : now))];
  const to = runs || !ends.length ? now : ends.reduce((a, b) => Math.max(a, b));
  const starts = [...all.map((bar) => bar.from), ...known.map((term) => Date.parse(term.since))];
  const first = starts.length ? starts.reduce((a, b) => Math.min(a, b)) : to - 60_000;
  const from = span === null ? first - (to - first) * 0.01 : to - span;
  const length = Math.max(1000, to - from);
  const at = (time: number): number => Math.min(100, Math.max(0, ((time - from) / length) * 100));
  const place = (begin: number, end: number) => ({ left: `${at(begin)}%`, width: `max(3px, ${at(end) - at(begin)}%)` });
  const shown = all.filter((bar) => (bar.to ?? now) >= from);
  const [begin, end] = [Math.max(0, Math.floor(top / ROW) - BEYOND), Math.ceil((top + height) / ROW) + BEYOND];
  return (
    <section class="panel timeline" aria-label="Timeline">
      <div class="spans chips" role="group" aria-label="Stretch of time">
        {SPANS.map(([name, value]) => (
          <button type="button" key={name} class="chip" aria-pressed={span === value} onClick={() => setSpan(value)}>
            {name}
          </button>
        ))}
        <span class="muted">
          {clock(from)} to {runs ? 'now' : clock(to)}, {duration(length / 1000)}
        </span>
      </div>
      <div class="axis">
        <span />
        <div class="terms">
          {known.map((term, n) => (
            <div
              key={term.term}
              class={`term ${n % 2 ? 'odd' : ''} ${term.ended?.how ?? 'now'}`}
              style={place(Date.parse(term.since), term.ended ? Date.parse(term.ended.at) : to)}
              title={`${term.token} ${term.orchestrator} on ${term.host}: ${term.ended?.how ?? 'owns it now'}`}
            >
              <Text>
                {term.token} {term.orchestrator}
              </Text>
            </div>
          ))}
        </div>
      </div>
      <div
        class="scroller"
        ref={scroller}
        tabIndex={0}
        role="region"
        aria-label="Attempts"
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        <div class="space" style={{ height: `${Math.max(1, shown.length) * ROW}px` }}>
          <div class="bands" aria-hidden="true">
            {known.map((term, n) => (
              <i key={term.term} class={n % 2 ? 'odd' : ''} style={place(Date.parse(term.since), term.ended ? Date.parse(term.ended.at) : to)} />
            ))}
          </div>
          {shown.slice(begin, end).map((bar, n) => {
            const until = bar.to ?? now;
            const words = `${bar.task}, attempt ${bar.attempt}, ${stateWord(bar.state)}, ${since(new Date(bar.from).toISOString(), until)}, by ${bar.by}`;
            return (
              <button
                type="button"
                key={bar.task}
                class={`attempt ${bar.task === selected ? 'selected' : ''}`}
                style={{ top: `${(begin + n) * ROW}px` }}
                aria-label={words}
                title={words}
                onClick={() => select(bar.task)}
              >
                <span class="id">
                  <Text>{bar.task}</Text>
                </span>
                <span class="track">
                  <i class={`s-${bar.state} ${bar.to === null ? 'open' : ''}`} style={place(bar.from, until)} />
                </span>
              </button>
            );
          })}
          {!shown.length && <p class="empty">Nothing was started in this time.</p>}
        </div>
      </div>
    </section>
  );
}
