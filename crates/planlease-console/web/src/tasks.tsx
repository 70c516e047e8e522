// The tasks of a plan: all at a glance as tiles, and as a list by phase.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { short, since } from './format';
import { useNow } from './hooks';
import { List } from './list';
import { stateWord, TaskBadge, type TaskState, Text } from './parts';
import type { PlanTask, PlanViewProps } from './plan';

const COLUMNS = [
  { name: 'Task', style: 'c-id' },
  { name: 'State', style: 'c-state' },
  { name: 'Description', style: 'c-what' },
  { name: 'By', style: 'c-by' },
  { name: 'Attempt', style: 'c-attempt' },
  { name: 'Time', style: 'c-time' },
];

type Row = { kind: 'phase'; key: string; name: string; done: number; total: number } | { kind: 'task'; key: string; task: PlanTask };

function rows({ tasks, phases }: Pick<PlanViewProps, 'tasks' | 'phases'>): Row[] {
  const names = new Map(phases.map((phase) => [phase.number, phase.name]));
  const totals = new Map<string | null, { done: number; total: number }>();
  for (const { phase, status } of tasks) {
    const total = totals.get(phase) ?? { done: 0, total: 0 };
    total.total++;
    if (status === 'completed' || status === 'skipped') total.done++;
    totals.set(phase, total);
  }
  const found: Row[] = [];
  let phase: string | null | undefined;
  for (const task of tasks) {
    if (task.phase !== phase) {
      phase = task.phase;
      const name = [phase ?? '', names.get(phase) ?? ''].filter(Boolean).join(' ');
      if (name) found.push({ kind: 'phase', key: `phase ${phase}`, name, ...totals.get(phase)! });
    }
    found.push({ kind: 'task', key: task.task, task });
  }
  return found;
}

export function Tasks(props: PlanViewProps & { all: PlanTask[] }) {
  const { tasks, phases, selected, select, critical, all } = props;
  const now = useNow();
  const shown = useMemo(() => rows({ tasks, phases }), [tasks, phases]);
  const cells = (row: Row) => {
    if (row.kind === 'phase') {
      return [<Text>{row.name}</Text>, '', '', '', '', <span class="muted">{`${row.done} of ${row.total}`}</span>];
    }
    const { task } = row;
    const note = task.status === 'failed' ? (task.parked ?? task.error) : task.status === 'in_progress' ? task.progress : null;
    return [
      <span class="id">
        <Text>{task.task}</Text>
        {critical.has(task.task) && (
          <span class="critical" title="on the critical path">
            critical
          </span>
        )}
      </span>,
      <TaskBadge state={task.state} />,
      <span class="two">
        <Text>{short(task.description, 200)}</Text>
        {note && (
          <small>
            <Text>{short(note, 200)}</Text>
          </small>
        )}
      </span>,
      <Text>{task.claim?.by ?? ''}</Text>,
      task.attempt > 0 ? <span class="number">{task.attempt}</span> : '',
      <span class="number">{time(task, now)}</span>,
    ];
  };
  return (
    <section class="panel tasks" aria-label="Tasks">
      <Tiles tasks={all} selected={selected} select={select} />
      <List
        label="Tasks"
        columns={COLUMNS}
        items={shown}
        rowHeight={40}
        keyOf={(row) => row.key}
        cells={cells}
        rowClass={(row) => (row.kind === 'phase' ? 'phase' : `s-${row.task.state}`)}
        selected={selected}
        onOpen={(row) => row.kind === 'task' && select(row.key)}
        canChoose={(row) => row.kind === 'task'}
        empty="No task matches."
      />
    </section>
  );
}

function time(task: PlanTask, now: number): string {
  if (!task.started_at) return '';
  if (task.status === 'in_progress') return since(task.started_at, now);
  return task.ended_at ? since(task.started_at, Date.parse(task.ended_at)) : '';
}

const STATES: TaskState[] = ['completed', 'skipped', 'in_progress', 'ready', 'pending', 'failed', 'parked', 'lost'];

/** Every task as a tile on a canvas: ten thousand elements would be slow. The list below says the same. */
function Tiles({ tasks, selected, select }: { tasks: PlanTask[]; selected: string | null; select: (task: string) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [scheme, setScheme] = useState(0);
  const size = tasks.length > 3000 ? 5 : tasks.length > 600 ? 8 : 12;
  const gap = size > 5 ? 2 : 1;
  const step = size + gap;
  const across = Math.max(1, Math.floor((width + gap) / step));
  useEffect(() => {
    const element = canvas.current?.parentElement;
    if (!element) return;
    const resized = new ResizeObserver(() => setWidth(element.clientWidth));
    resized.observe(element);
    const recoloured = new MutationObserver(() => setScheme((n) => n + 1));
    recoloured.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
    return () => {
      resized.disconnect();
      recoloured.disconnect();
    };
  }, []);
  // What stands on the canvas: of a plan of ten thousand tasks only what changed is drawn again.
  const drawn = useRef<{ key: string; states: TaskState[]; selected: number }>({ key: '', states: [], selected: -1 });
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext('2d');
    if (!element || !context || !width) return;
    const scale = devicePixelRatio;
    const height = Math.ceil(tasks.length / across) * step;
    const before = drawn.current;
    const key = `${tasks.length} ${width} ${scheme} ${scale} ${size}`;
    const anew = key !== before.key;
    if (anew) {
      element.width = width * scale;
      element.height = height * scale;
      element.style.height = `${height}px`;
      context.scale(scale, scale);
    }
    const style = getComputedStyle(element);
    const colours = new Map(STATES.map((state) => [state, style.getPropertyValue(`--s-${state}`)]));
    const chosen = tasks.findIndex((task) => task.task === selected);
    tasks.forEach((task, n) => {
      const same = before.states[n] === task.state && (n === chosen) === (n === before.selected);
      if (!anew && same) return;
      const [x, y] = [(n % across) * step, Math.floor(n / across) * step];
      context.clearRect(x, y, step, step);
      context.fillStyle = colours.get(task.state) ?? 'gray';
      context.beginPath();
      context.roundRect(x, y, size, size, size / 4);
      context.fill();
      if (n === chosen) {
        context.strokeStyle = style.getPropertyValue('--text');
        context.lineWidth = 2;
        context.strokeRect(x + 1, y + 1, size - 2, size - 2);
      }
    });
    drawn.current = { key, states: tasks.map((task) => task.state), selected: chosen };
  }, [tasks, width, selected, scheme]);
  const at = (event: MouseEvent): PlanTask | undefined => {
    const box = canvas.current!.getBoundingClientRect();
    const [column, row] = [Math.floor((event.clientX - box.left) / step), Math.floor((event.clientY - box.top) / step)];
    return column < across ? tasks[row * across + column] : undefined;
  };
  return (
    <div class="tiles">
      <div class="tiles-scroll">
        <canvas
          ref={canvas}
          height={0}
          role="img"
          aria-label={`${tasks.length} tasks as tiles; the list has the same`}
          onClick={(event) => {
            const task = at(event);
            if (task) select(task.task);
          }}
          onMouseMove={(event) => {
            const task = at(event);
            event.currentTarget.title = task ? `${task.task}: ${stateWord(task.state)}` : '';
          }}
        />
      </div>
      <Legend tasks={tasks} />
    </div>
  );
}

function Legend({ tasks }: { tasks: PlanTask[] }) {
  const counts = new Map<TaskState, number>();
  for (const { state } of tasks) counts.set(state, (counts.get(state) ?? 0) + 1);
  return (
    <div class="legend">
      {STATES.filter((state) => counts.get(state)).map((state) => (
        <span key={state}>
          <i class={`tile s-${state}`} aria-hidden="true" />
          {counts.get(state)} {stateWord(state)}
        </span>
      ))}
    </div>
  );
}
