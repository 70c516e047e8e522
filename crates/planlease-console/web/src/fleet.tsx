// The fleet page: what needs a person, the plans, the orchestrators, what changes.

import { useMemo, useState } from 'preact/hooks';
import { Attention, needs } from './attention';
import type { Estimates } from './estimates';
import { Feed } from './feed';
import { counted, duration, since } from './format';
import { href, useModel, useNow } from './hooks';
import { List } from './list';
import type { Action } from './action';
import { type Model, needsPerson, type Plan, PLAN_STATES } from './model';
import { Orchestrators } from './orchestrators';
import { PlanBadge, Progress, Text } from './parts';
import type { PlanState } from './types';

const COLUMNS = [
  { name: 'Plan', style: 'c-plan' },
  { name: 'State', style: 'c-state' },
  { name: 'Progress', style: 'c-progress' },
  { name: 'Owner', style: 'c-owner' },
  { name: 'Token', style: 'c-token' },
  { name: 'Remaining', style: 'c-left' },
];

/** The plans whose name, title, owner or host have the words, most pressing first. */
function rows(model: Model, search: string, only: PlanState | null): Plan[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const has = ({ plan, title, owner, state }: Plan): boolean => {
    const text = `${plan} ${title} ${owner?.orchestrator ?? ''} ${owner?.host ?? ''} ${state}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const found: Plan[] = [];
  for (const plan of model.plans.values()) {
    if ((only === null ? plan.state !== 'archived' : plan.state === only) && has(plan)) found.push(plan);
  }
  const order = new Map(PLAN_STATES.map((state, n) => [state, n]));
  const place = ({ state }: Plan): number => order.get(state) ?? -1;
  return found.sort((a, b) => place(a) - place(b) || (a.plan < b.plan ? -1 : 1));
}

interface FleetProps {
  search: string;
  estimates: Estimates;
  writes: boolean;
  choose: (action: Action) => void;
}

export function Fleet({ search, estimates, writes, choose }: FleetProps) {
  const model = useModel();
  const now = useNow();
  const [only, setOnly] = useState<PlanState | null>(null);
  const shown = useMemo(() => rows(model, search, only), [model.version, search, only]);
  const needed = useMemo(() => {
    const needed = new Map<string, number>();
    for (const { plan } of model.attention) needed.set(plan, (needed.get(plan) ?? 0) + 1);
    return needed;
  }, [model.attention]);
  const cells = (plan: Plan) => [
    <a href={href(plan.plan)} class="name">
      <Text>{plan.plan}</Text>
      {plan.title && plan.title !== plan.plan && (
        <small>
          <Text>{plan.title}</Text>
        </small>
      )}
    </a>,
    <span class="two">
      <PlanBadge state={plan.state} />
      {needed.has(plan.plan) && <small class="bad">{needed.get(plan.plan)} for you</small>}
    </span>,
    <Progress summary={plan.summary} />,
    <OwnerCell plan={plan} now={now} />,
    plan.owner ? <span class="token">{plan.owner.token}</span> : <span class="none">–</span>,
    <Remaining plan={plan} estimates={estimates} />,
  ];
  return (
    <div class="fleet">
      <h1 class="sr">The fleet</h1>
      <Figures model={model} />
      <Attention />
      <div class="columns">
        <section class="panel plans" aria-label="Plans">
          <header>
            <h2>Plans</h2>
            <span class="muted">{counted(shown.length, 'plan')}</span>
            <States model={model} only={only} choose={setOnly} />
          </header>
          <List
            label="Plans"
            columns={COLUMNS}
            items={shown}
            rowHeight={52}
            keyOf={(plan) => plan.plan}
            cells={cells}
            rowClass={(plan) => `p-${plan.state} ${needsPerson(plan.state) ? 'pressing' : ''}`}
            onOpen={(plan) => (location.hash = href(plan.plan))}
            empty={search || only ? 'No plan matches.' : 'No plans yet: planlease plan import FILE makes one.'}
          />
        </section>
        <aside>
          <Orchestrators writes={writes} choose={choose} />
          <Feed />
        </aside>
      </div>
    </div>
  );
}

function OwnerCell({ plan, now }: { plan: Plan; now: number }) {
  if (!plan.owner) {
    const waiting = plan.waiting[0];
    return waiting ? (
      <span class="two">
        <Text>{waiting.name}</Text>
        <small>takes over</small>
      </span>
    ) : (
      <span class="none">–</span>
    );
  }
  return (
    <span class="two">
      <Text>{plan.owner.orchestrator}</Text>
      <small>
        <Text>{plan.owner.host}</Text> · {since(plan.owner.since, now)}
        {plan.waiting.length > 0 && ` · ${plan.waiting.length} waiting`}
      </small>
    </span>
  );
}

function Remaining({ plan, estimates }: { plan: Plan; estimates: Estimates }) {
  const { state } = plan;
  if (state !== 'running' && state !== 'waiting' && state !== 'needs_decision') return <span class="none">–</span>;
  const estimate = estimates.of(plan);
  if (!estimate) return <span class="none">…</span>;
  if (estimate.remaining_s <= 0) return <span class="none">unknown</span>;
  return <span class="number">≈ {duration(estimate.remaining_s)}</span>;
}

/** The states that there are, to look at one of them. */
function States({ model, only, choose }: { model: Model; only: PlanState | null; choose: (state: PlanState | null) => void }) {
  const counts = useMemo(() => {
    const counts = new Map<PlanState, number>();
    for (const { state } of model.plans.values()) counts.set(state, (counts.get(state) ?? 0) + 1);
    return counts;
  }, [model.version]);
  return (
    <div class="chips" role="group" aria-label="Show only">
      {PLAN_STATES.filter((state) => counts.get(state)).map((state) => (
        <button
          type="button"
          key={state}
          class="chip"
          aria-pressed={only === state}
          onClick={() => choose(only === state ? null : state)}
        >
          <PlanBadge state={state} />
          <b>{counts.get(state)}</b>
        </button>
      ))}
    </div>
  );
}

/** The fleet in numbers. */
function Figures({ model }: { model: Model }) {
  const total = useMemo(() => {
    const total = { plans: 0, owned: 0, running: 0, failed: 0, open: 0, done: 0, tasks: 0 };
    for (const { summary, owner, halted } of model.plans.values()) {
      if (halted?.how === 'archived') continue;
      total.plans++;
      if (owner) total.owned++;
      total.running += summary.in_progress;
      total.failed += summary.failed;
      total.open += summary.pending;
      total.done += summary.completed + summary.skipped;
      total.tasks += summary.total;
    }
    return total;
  }, [model.version]);
  const needed = needs(model).length;
  const hosts = new Set(model.orchestrators.map((one) => one.host)).size;
  const figure = (name: string, value: number, more: string, style = '') => (
    <div class={`figure ${style}`}>
      <dt>{name}</dt>
      <dd>
        <b>{value.toLocaleString('en')}</b> <small>{more}</small>
      </dd>
    </div>
  );
  return (
    <dl class="figures">
      {figure('Need you', needed, needed ? 'see below' : 'nothing', needed ? 'warn' : '')}
      {figure('Plans', total.plans, `${total.owned} owned`)}
      {figure('Running', total.running, `${total.open.toLocaleString('en')} to do`)}
      {figure('Done', total.done, `of ${counted(total.tasks, 'task')}`)}
      {figure('Failed', total.failed, total.failed ? 'retries included' : 'none')}
      {figure('Orchestrators', model.orchestrators.length, counted(hosts, 'host'))}
    </dl>
  );
}
