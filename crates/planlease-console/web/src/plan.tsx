// The plan page: its head, its views, and the selected task.

import { useEffect, useMemo, useState } from 'preact/hooks';
import { type Action, ActionButtons, moveOf, planActions } from './action';
import { planPath } from './api';
import { TaskPanel } from './detail';
import { Feed } from './feed';
import { ago, byId, duration, since } from './format';
import { Graph } from './graph';
import { href, type Route, useFetched, useModel, useNow } from './hooks';
import { Logs } from './logs';
import type { Plan } from './model';
import { PlanBadge, Progress, type TaskState, Text } from './parts';
import { Tasks } from './tasks';
import { Timeline } from './timeline';
import type { Definition, Estimate, PlanStatus, Task, WhyPlan } from './types';

const TABS: [string, string][] = [
  ['tasks', 'Tasks'],
  ['graph', 'Graph'],
  ['timeline', 'Timeline'],
  ['logs', 'Logs'],
  ['why', 'Why'],
];

/** A task with what the plan's definition and its rules add to its record. */
export interface PlanTask extends Task {
  phase: string | null;
  state: TaskState;
}

/** What the views of a plan are given. */
export interface PlanViewProps {
  plan: Plan;
  tasks: PlanTask[];
  phases: { number: string | null; name: string }[];
  selected: string | null;
  select: (task: string) => void;
  critical: Set<string>;
}

/** What the definition says: the order of the tasks, and what their records do not have. */
interface Layout {
  order: string[];
  phases: PlanViewProps['phases'];
  phaseOf: Map<string, string | null>;
  described: Map<string, string>;
}

/** The order by phases; it stays as it is while tasks only change. */
function layOut(plan: Plan, definition: Definition | null): Layout {
  const phaseOf = new Map(definition?.tasks.map((task) => [task.id, task.phase]));
  const described = new Map(definition?.tasks.map((task) => [task.id, task.description]));
  const places = new Map((definition?.phases ?? []).map((phase, n) => [phase.number, n]));
  const at = (task: string): number => {
    const phase = phaseOf.get(task) ?? null;
    return phase === null ? Infinity : (places.get(phase) ?? Infinity);
  };
  const order = [...plan.tasks.keys()];
  order.sort((a, b) => (at(a) === at(b) ? byId(a, b) : at(a) - at(b)));
  const phases: PlanViewProps['phases'] = [...(definition?.phases ?? [])];
  if (order.some((task) => (phaseOf.get(task) ?? null) === null)) {
    phases.push({ number: null, name: phases.length ? 'Other tasks' : '' });
  }
  return { order, phases, phaseOf, described };
}

/** The tasks in their order, with what is known of each; what has not changed is taken over. */
function arrange(plan: Plan, layout: Layout, status: PlanStatus | null, before: Map<string, PlanTask>): PlanTask[] {
  const ready = new Set(status?.ready);
  const lost = new Set(status?.in_progress.filter((one) => one.claimant_gone).map((one) => one.task));
  const state = (task: Task): TaskState => {
    if (task.status === 'failed' && task.parked) return 'parked';
    if (task.status === 'pending' && ready.has(task.task)) return 'ready';
    return task.status === 'in_progress' && lost.has(task.task) ? 'lost' : task.status;
  };
  return layout.order.flatMap((id): PlanTask[] => {
    const task = plan.tasks.get(id);
    if (!task) return [];
    const known = before.get(id);
    const now = state(task);
    const phase = layout.phaseOf.get(id) ?? null;
    if (known && known.revision === task.revision && known.state === now && known.phase === phase && known.description) return [known];
    const arranged = { ...task, description: task.description || layout.described.get(id) || '', phase, state: now };
    before.set(id, arranged);
    return [arranged];
  });
}

/** How often the status of a plan is asked for: of a large one it is a large document. */
const statusEveryMs = (plan: Plan | undefined): number => ((plan?.tasks.size ?? 0) > 2000 ? 5000 : 1000);

interface PageProps {
  route: Route & { page: 'plan' };
  search: string;
  writes: boolean;
  choose: (action: Action) => void;
}

export function PlanPage({ route, search, writes, choose }: PageProps) {
  const model = useModel();
  const plan = model.plans.get(route.plan);
  const path = planPath(route.plan);
  const definition = useFetched<Definition>(plan ? path : null, plan?.defined);
  const status = useFetched<PlanStatus>(plan ? `${path}/status` : null, plan?.version, statusEveryMs(plan));
  const estimate = useFetched<Estimate>(plan ? `${path}/estimate` : null, plan?.version, 5000);
  const layout = useMemo(() => (plan ? layOut(plan, definition.value) : null), [plan, plan?.defined, plan?.tasks.size, definition.value]);
  // A new definition may have new texts for the same records.
  const before = useMemo(() => new Map<string, PlanTask>(), [plan, layout]);
  const all = useMemo(
    () => (plan && layout ? arrange(plan, layout, status.value, before) : []),
    [plan, plan?.version, layout, status.value, before],
  );
  const critical = useMemo(() => new Set(estimate.value?.critical_path), [estimate.value]);
  if (!plan) {
    if (model.revision === null) return <p class="empty">Reading the plans …</p>;
    return (
      <p class="empty">
        There is no plan <Text>{route.plan}</Text>. <a href="#/">See all plans</a>
      </p>
    );
  }
  const select = (task: string): void => {
    location.replace(href(plan.plan, route.tab, task));
  };
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const tasks = words.length
    ? all.filter((task) => {
        const text = `${task.task} ${task.description} ${task.state} ${task.claim?.by ?? ''}`.toLowerCase();
        return words.every((word) => text.includes(word));
      })
    : all;
  const props: PlanViewProps = { plan, tasks, phases: layout?.phases ?? [], selected: route.task, select, critical };
  return (
    <div class={`plan ${route.task === null ? '' : 'with-task'} tab-${route.tab}`}>
      <PlanHead plan={plan} estimate={estimate.value} writes={writes} choose={choose} />
      <nav class="tabs" aria-label="Views">
        {TABS.map(([tab, name]) => (
          <a key={tab} href={href(plan.plan, tab, route.task)} aria-current={route.tab === tab ? 'page' : undefined}>
            {name}
          </a>
        ))}
      </nav>
      <div class="plan-body">
        <div class="view">
          {route.tab === 'graph' ? (
            <Graph {...props} tasks={all} />
          ) : route.tab === 'timeline' ? (
            <Timeline {...props} />
          ) : route.tab === 'logs' ? (
            <Logs {...props} />
          ) : route.tab === 'why' ? (
            <Why plan={plan} />
          ) : (
            <Tasks {...props} all={all} />
          )}
        </div>
        {route.task !== null && (
          <TaskPanel
            plan={plan}
            task={route.task}
            writes={writes}
            choose={choose}
            close={() => (location.hash = href(plan.plan, route.tab))}
          />
        )}
      </div>
    </div>
  );
}

interface HeadProps {
  plan: Plan;
  estimate: Estimate | null;
  writes: boolean;
  choose: (action: Action) => void;
}

function PlanHead({ plan, estimate, writes, choose }: HeadProps) {
  const model = useModel();
  const now = useNow();
  const move = moveOf(model, plan);
  const { owner, waiting, lastTerm, halted } = plan;
  const fact = (name: string, value: preact.ComponentChildren) => (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
  return (
    <section class="panel plan-head" aria-label="Plan">
      <div class="title">
        <a href="#/" class="up" aria-label="All plans">
          ‹ Plans
        </a>
        <h1>
          <Text>{plan.plan}</Text>
        </h1>
        <PlanBadge state={plan.state} />
        {writes && <ActionButtons actions={planActions(model, plan)} choose={choose} />}
      </div>
      {plan.title && plan.title !== plan.plan && (
        <p class="subtitle">
          <Text>{plan.title}</Text>
        </p>
      )}
      {halted && (
        <p class="halted">
          {halted.how} by <Text>{halted.by}</Text> {ago(halted.at, now)}: <Text>{halted.why}</Text>
        </p>
      )}
      {move && (
        <p class="halted">
          to be moved to <Text>{move.to}</Text> by <Text>{move.by}</Text>: <Text>{move.why}</Text>
        </p>
      )}
      <Progress summary={plan.summary} />
      <dl class="facts">
        {fact('Owner', owner ? <Text>{owner.orchestrator}</Text> : waiting[0] ? 'being taken over' : 'none')}
        {owner && fact('Host', <Text>{owner.host}</Text>)}
        {owner && fact('For', since(owner.since, now))}
        {owner && fact('Token', <span class="token">{owner.token}</span>)}
        {!owner && lastTerm && fact('Last owner', <Text>{lastTerm.orchestrator}</Text>)}
        {waiting.length > 0 && fact('Waiting', <Text>{waiting.map((one) => one.name).join(', ')}</Text>)}
        {estimate && estimate.remaining_s > 0 && fact('Remaining', `≈ ${duration(estimate.remaining_s)}`)}
        {plan.summary.in_progress > 0 && fact('Running', plan.summary.in_progress)}
        {plan.summary.failed > 0 && fact('Failed', <span class="bad">{plan.summary.failed}</span>)}
      </dl>
    </section>
  );
}

/** Why the plan is where it is, and what changes in it. */
function Why({ plan }: { plan: Plan }) {
  const why = useFetched<WhyPlan>(`${planPath(plan.plan)}/why`, plan.version, 1000);
  const [shown, setShown] = useState(why.value);
  useEffect(() => {
    if (why.value) setShown(why.value);
  }, [why.value]);
  return (
    <div class="why">
      <section class="panel" aria-label="Why">
        <header>
          <h2>Why it is where it is</h2>
        </header>
        {why.error && <p class="refused">{why.error}</p>}
        {shown && (
          <div class="prose">
            <p>
              <Text>{shown.now}</Text>
            </p>
            <p class="next">
              <Text>{shown.next}</Text>
            </p>
            {shown.held.length > 0 && <TaskLinks plan={plan} title="Held up by" tasks={shown.held} />}
            {shown.lost.length > 0 && <TaskLinks plan={plan} title="Lost" tasks={shown.lost} />}
          </div>
        )}
      </section>
      <Feed plan={plan.plan} />
    </div>
  );
}

function TaskLinks({ plan, title, tasks }: { plan: Plan; title: string; tasks: string[] }) {
  return (
    <p>
      {title}:{' '}
      {tasks.slice(0, 20).map((task) => (
        <a key={task} class="task-link" href={href(plan.plan, 'tasks', task)}>
          <Text>{task}</Text>
        </a>
      ))}
      {tasks.length > 20 && ` and ${tasks.length - 20} more`}
    </p>
  );
}
