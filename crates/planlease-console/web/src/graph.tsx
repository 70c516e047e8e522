// What waits for what: every task, or for a large plan its phases and what is near the selected task.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { planPath } from './api';
import { useFetched } from './hooks';
import type { LayoutAnswer, LayoutRequest } from './layout';
import layoutUrl from './layout?worker&url';
import { stateWord, type TaskState } from './parts';
import type { PlanTask, PlanViewProps } from './plan';
import type { Deps } from './types';

/** The largest graph that is drawn whole. */
const WHOLE = 300;
/** How many tasks around the selected one are drawn, at most. */
const NEAR = 80;

const SIZE = { width: 190, height: 46 };

interface Point {
  x: number;
  y: number;
}

interface Node {
  id: string;
  title: string;
  text: string;
  state: TaskState;
  critical: boolean;
  task: string | null;
}

interface Drawn {
  nodes: Map<string, Node>;
  edges: { from: string; to: string }[];
}

type Waits = Map<string, string[]>;

function node(task: PlanTask, critical: Set<string>): Node {
  return { id: task.task, title: task.task, text: task.description, state: task.state, critical: critical.has(task.task), task: task.task };
}

/** Every task, with what it depends on. */
function whole(tasks: PlanTask[], waits: Waits, critical: Set<string>): Drawn {
  const nodes = new Map(tasks.map((task) => [task.task, node(task, critical)]));
  const edges = tasks.flatMap((task) => (waits.get(task.task) ?? []).filter((on) => nodes.has(on)).map((from) => ({ from, to: task.task })));
  return { nodes, edges };
}

/** The worst state of a phase's tasks, for its one node. */
const WORST: TaskState[] = ['parked', 'failed', 'lost', 'in_progress', 'ready', 'pending', 'completed', 'skipped'];

/** A node per phase; the phase of the selected task is taken apart to what is near it. */
function collapsed({ tasks, phases, selected, critical }: PlanViewProps, waits: Waits): Drawn {
  const byId = new Map(tasks.map((task) => [task.task, task]));
  const near = selected === null ? new Set<string>() : neighbourhood(selected, waits);
  const names = new Map(phases.map((phase) => [phase.number, phase.name]));
  const placeOf = (task: PlanTask): string => (near.has(task.task) ? task.task : `phase ${task.phase}`);
  const nodes = new Map<string, Node>();
  const groups = new Map<string, PlanTask[]>();
  for (const task of tasks) {
    const place = placeOf(task);
    if (near.has(task.task)) {
      nodes.set(place, node(task, critical));
      continue;
    }
    const group = groups.get(place);
    if (group) group.push(task);
    else groups.set(place, [task]);
  }
  for (const [id, group] of groups) {
    const { phase } = group[0]!;
    const done = group.filter((task) => task.status === 'completed' || task.status === 'skipped').length;
    const state = WORST.find((worst) => group.some((task) => task.state === worst)) ?? 'pending';
    const title = [phase, names.get(phase)].filter(Boolean).join(' ') || 'Other tasks';
    nodes.set(id, { id, title, text: `${done} of ${group.length}`, state, critical: false, task: null });
  }
  const edges = new Map<string, { from: string; to: string }>();
  for (const task of tasks) {
    for (const on of waits.get(task.task) ?? []) {
      const other = byId.get(on);
      if (!other) continue;
      const [from, to] = [placeOf(other), placeOf(task)];
      if (from !== to) edges.set(`${from}\n${to}`, { from, to });
    }
  }
  return { nodes, edges: [...edges.values()] };
}

/** The tasks within two steps of one, in both directions, as many as are drawn. */
function neighbourhood(task: string, waits: Waits): Set<string> {
  const after = new Map<string, string[]>();
  for (const [id, ons] of waits) for (const on of ons) after.set(on, [...(after.get(on) ?? []), id]);
  const near = new Set([task]);
  let edge = [task];
  for (let step = 0; step < 2; step++) {
    const next: string[] = [];
    for (const id of edge) {
      for (const other of [...(waits.get(id) ?? []), ...(after.get(id) ?? [])]) {
        if (near.size >= NEAR || near.has(other)) continue;
        near.add(other);
        next.push(other);
      }
    }
    edge = next;
  }
  return near;
}

/** What declares this one URL good, for browsers that check where code comes from. */
interface TrustedTypes {
  createPolicy: (name: string, rules: { createScriptURL: (url: string) => string }) => { createScriptURL: (url: string) => string };
}
const { trustedTypes } = window as { trustedTypes?: TrustedTypes };
const workers = trustedTypes?.createPolicy('worker', { createScriptURL: (url) => (url === layoutUrl ? url : '') });

/** The layout of a graph; the last one stands until the next is there. */
function useLayout(drawn: Drawn): LayoutAnswer | null {
  const worker = useRef<Worker | null>(null);
  const key = useRef(0);
  const [answer, setAnswer] = useState<LayoutAnswer | null>(null);
  const shape = useMemo(() => {
    const nodes = [...drawn.nodes.keys()];
    return JSON.stringify([nodes, drawn.edges]);
  }, [drawn]);
  useEffect(() => {
    const url = workers?.createScriptURL(layoutUrl) ?? layoutUrl;
    const made = new Worker(url, { type: 'module' });
    made.onmessage = (message: MessageEvent<LayoutAnswer>) => {
      if (message.data.key === key.current) setAnswer(message.data);
    };
    worker.current = made;
    return () => made.terminate();
  }, []);
  useEffect(() => {
    const nodes = [...drawn.nodes.keys()].map((id) => ({ id, ...SIZE }));
    const request: LayoutRequest = { key: ++key.current, nodes, edges: drawn.edges };
    worker.current?.postMessage(request);
  }, [shape]);
  return answer;
}

export function Graph(props: PlanViewProps) {
  const { plan, tasks, selected, select, critical } = props;
  const deps = useFetched<Deps>(`${planPath(plan.plan)}/deps`, plan.defined);
  const waits = useMemo(() => {
    const waits: Waits = new Map();
    for (const { task, waits: on } of deps.value?.tasks ?? []) waits.set(task, [...new Set(on.map((one) => one.on))]);
    return waits;
  }, [deps.value]);
  const large = tasks.length > WHOLE;
  const drawn = useMemo(
    () => (large ? collapsed(props, waits) : whole(tasks, waits, critical)),
    [tasks, waits, critical, large, large ? selected : null],
  );
  const layout = useLayout(drawn);
  const canvas = useRef<HTMLDivElement>(null);
  const place = selected === null ? undefined : layout?.nodes[selected];
  useEffect(() => {
    const { current } = canvas;
    if (!current || !place) return;
    current.scrollTo(place.x - current.clientWidth / 2, place.y - current.clientHeight / 2);
  }, [selected, place?.x, place?.y]);
  if (deps.error) return <p class="refused">{deps.error}</p>;
  return (
    <section class="panel graph" aria-label="Graph">
      <p class="muted hint">
        {large
          ? `${tasks.length} tasks: phases are drawn as one, and what is within two steps of the selected task.`
          : 'Left before right. Tasks that have not started are drawn as well.'}
      </p>
      <div class="canvas" ref={canvas} tabIndex={0} role="region" aria-label="Graph of the tasks">
        {layout && (
          <svg width={layout.width} height={layout.height} role="group" aria-label={`${drawn.nodes.size} nodes`}>
            <defs>
              <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">
                <path d="M0 0L8 4L0 8z" />
              </marker>
            </defs>
            {layout.edges.map((edge) => (
              <path
                key={`${edge.from}\n${edge.to}`}
                class={`edge ${edge.from === selected || edge.to === selected ? 'selected' : ''}`}
                d={curve(layout.nodes[edge.from]!, edge.points.slice(1, -1), layout.nodes[edge.to]!)}
                marker-end="url(#arrow)"
              />
            ))}
            {[...drawn.nodes.values()].map((one) => {
              const at = layout.nodes[one.id];
              return at && <NodeView key={one.id} node={one} x={at.x} y={at.y} selected={one.task !== null && one.task === selected} select={select} />;
            })}
          </svg>
        )}
      </div>
    </section>
  );
}

/** From the right of one node to the left of the other, by way of the points between. */
function curve(from: Point, between: Point[], to: Point): string {
  const points = [{ x: from.x + SIZE.width / 2, y: from.y }, ...between, { x: to.x - SIZE.width / 2 - 2, y: to.y }];
  let path = `M${points[0]!.x} ${points[0]!.y}`;
  for (let n = 1; n < points.length; n++) {
    const [a, b] = [points[n - 1]!, points[n]!];
    const half = (b.x - a.x) / 2;
    path += `C${a.x + half} ${a.y} ${b.x - half} ${b.y} ${b.x} ${b.y}`;
  }
  return path;
}

interface NodeProps {
  node: Node;
  x: number;
  y: number;
  selected: boolean;
  select: (task: string) => void;
}

function NodeView({ node, x, y, selected, select }: NodeProps) {
  const { width, height } = SIZE;
  const open = (): void => {
    if (node.task !== null) select(node.task);
  };
  const fit = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  return (
    <g
      class={`node s-${node.state} ${selected ? 'selected' : ''} ${node.critical ? 'critical' : ''} ${node.task === null ? 'group' : ''}`}
      transform={`translate(${x - width / 2} ${y - height / 2})`}
      role={node.task === null ? undefined : 'button'}
      tabIndex={node.task === null ? undefined : 0}
      onClick={open}
      onKeyDown={(event) => event.key === 'Enter' && open()}
    >
      <rect width={width} height={height} rx="7" />
      <rect class="side" width="4" height={height} rx="2" />
      <text x="14" y="19" class="title">
        {fit(node.title, 22)}
      </text>
      <text x="14" y="36" class="sub">
        {fit(`${stateWord(node.state)} · ${node.text}`, 26)}
      </text>
    </g>
  );
}
