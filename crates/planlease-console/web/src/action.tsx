// An action: what it does, the command line that does the same, the reason, and what came of it.

import { useLayoutEffect, useState } from 'preact/hooks';
import { change, orchestratorPath, planPath, Refused, taskPath } from './api';
import { Dialog } from './dialog';
import { command } from './format';
import { actionKeys } from './keys';
import { refreshFleet } from './live';
import type { Model, Plan } from './model';
import { Copy } from './parts';
import type { Move, Orchestrator, Task, Then } from './types';

/** Something to be chosen besides the reason. */
export interface Field {
  name: string;
  label: string;
  options: { value: string; label: string }[];
  first?: string;
}

type Values = Record<string, string>;

/** Something that can be done, for a reason. */
export interface Action {
  name: string;
  title: string;
  /** What it does, in a sentence. */
  what: string;
  danger?: boolean;
  /** The key that does the same as the button. */
  key?: string;
  fields?: Field[];
  /** Whether a record keeps the reason; otherwise it stands in the log of the sidecar alone. */
  keepsReason?: boolean;
  command: (reason: string, values: Values) => string;
  run: (reason: string, values: Values) => Promise<void>;
}

/** How long running tasks may go on. */
const DEADLINES: Field = {
  name: 'deadline',
  label: 'Running tasks may go on for',
  options: [
    { value: '10', label: '10 seconds' },
    { value: '60', label: '1 minute' },
    { value: '300', label: '5 minutes' },
    { value: '1800', label: '30 minutes' },
    { value: '7200', label: '2 hours' },
  ],
  first: '300',
};

/** Makes an action on a task: its name, the change, the key, what it does, and what else it sends. */
type Act = (name: string, word: string, key: string, what: string, more?: Partial<Action> & { body?: (values: Values) => object }) => Action;

/** What can be done about a task: conditional on the record that is shown. */
export function taskActions(plan: Plan, task: Task): Action[] {
  const act: Act = (name, word, key, what, more = {}) => {
    const { body = () => ({}), ...rest } = more;
    return {
      name,
      title: `${name} task ${task.task} of ${plan.plan}`,
      what,
      key,
      keepsReason: true,
      command: (reason, values) => {
        const then = values.then ? ['--then', values.then] : [];
        const words = ['planlease', 'task', word, plan.plan, task.task, '--reason', reason, ...then];
        return command(...words, '--expect-revision', String(task.revision));
      },
      run: (reason, values) => {
        const headers = { 'If-Match': `"${task.revision}"`, 'Idempotency-Key': crypto.randomUUID() };
        return change('PATCH', taskPath(plan.plan, task.task), { change: word, reason, ...body(values) }, headers);
      },
      ...rest,
    };
  };
  const actions = approvalActions(plan, task, act);
  if (task.status !== 'pending') {
    actions.push(act('Retry', 'retry', 'r', 'The task is put back, and done again from the beginning.'));
  }
  if (task.status === 'pending' || task.status === 'failed') {
    actions.push(act('Skip', 'skip', 's', 'The task is left out; what depends on it may start.'));
  }
  if (task.status === 'in_progress' && !task.cancel) {
    const what = 'Its command is stopped, and the attempt cannot be completed any more. Then the task becomes what you choose.';
    actions.push(act('Cancel', 'cancel', 'c', what, { danger: true, fields: [THEN], body: ({ then }) => ({ then, attempt: task.attempt }) }));
  }
  return actions;
}

/** A person's word on a task that waits for it: on the start of an attempt, or on its result. */
function approvalActions(plan: Plan, task: Task, act: Act): Action[] {
  const attempt = task.approval?.waits;
  if (typeof attempt !== 'number') return [];
  const isResult = task.status === 'in_progress';
  const line = (word: string, reason: string, then: string | undefined): string => {
    const words = ['planlease', word, plan.plan, task.task, '--attempt', String(attempt), '--reason', reason];
    return command(...words, ...(then ? ['--then', then] : []));
  };
  const approved = isResult ? 'The result is accepted: the task is completed.' : `Attempt ${attempt} may start.`;
  const rejected = isResult ? 'The result is refused.' : `Attempt ${attempt} does not start.`;
  const byDefault = isResult ? 'put back: the next attempt is given the reason' : 'failed, until it is retried or skipped';
  return [
    act('Approve', 'approve', 'a', approved, { body: () => ({ attempt }), command: (reason) => line('approve', reason, undefined) }),
    act('Reject', 'reject', 'x', `${rejected} That does not count as a failure.`, {
      danger: true,
      fields: [{ ...THEN, options: [{ value: '', label: byDefault }, ...THEN.options], first: '' }],
      body: ({ then }) => (then ? { attempt, then } : { attempt }),
      command: (reason, { then }) => line('reject', reason, then),
    }),
  ];
}

const THEN: Field = {
  name: 'then',
  label: 'Then the task is',
  options: [
    { value: 'retry', label: 'put back, to be done again' },
    { value: 'skip', label: 'skipped' },
    { value: 'fail', label: 'failed, without a retry' },
  ] satisfies { value: Then; label: string }[],
  first: 'retry',
};

/** The move of a plan that is under way: one whose owner is still the one that is to give it away. */
export function moveOf(model: Model, plan: Plan): Move | null {
  const move = model.fleet?.moves.find((one) => one.plan === plan.plan);
  return move && plan.owner?.orchestrator === move.from ? move : null;
}

/** What can be done about a plan. */
export function planActions(model: Model, plan: Plan): Action[] {
  const halt = (name: string, word: string, key: string, what: string, danger = false): Action => ({
    name,
    title: `${name} plan ${plan.plan}`,
    what,
    danger,
    key,
    keepsReason: word !== 'resume',
    command: (reason) => {
      const words = ['planlease', 'plan', word, plan.plan];
      return command(...(word === 'resume' ? words : [...words, '--reason', reason]));
    },
    run: (why) => change('POST', `${planPath(plan.plan)}/${word}`, { why }),
  });
  const { owner, halted } = plan;
  const actions: Action[] = [];
  if (halted) actions.push(halt('Resume', 'resume', 'p', 'The plan goes on: the next owner continues where the last one stopped.'));
  else actions.push(halt('Pause', 'pause', 'p', 'Nothing more is started; what runs continues to its end, and the owner stays.'));
  if (owner) {
    const move = moving(model, plan, owner.orchestrator);
    if (move) actions.push(move);
    actions.push({
      name: 'Release',
      title: `End the ownership of ${plan.plan}`,
      what: `${owner.orchestrator} loses the plan at once and its commands are killed; the next one in the queue takes over. What it does outside etcd is not undone.`,
      danger: true,
      key: 'R',
      keepsReason: true,
      command: (reason) =>
        command('planlease', 'owner', 'release', plan.plan, '--expect', owner.orchestrator, '--reason', reason),
      run: (reason) => change('POST', `${planPath(plan.plan)}/owner/release`, { expected: owner.orchestrator, reason }),
    });
  }
  if (!halted || halted.how === 'paused') {
    actions.push(halt('Cancel', 'cancel', 'C', 'The ownership ends, and the plan cannot be owned until it is resumed.', true));
  }
  return actions;
}

/**
 * The move of a plan to another orchestrator, if no move is under way and there is one that could take it: that waits
 * for the plan, or says that it takes plans by itself.
 */
function moving(model: Model, plan: Plan, owner: string): Action | null {
  const waits = new Set(plan.waiting.map((one) => one.name));
  const takes = (one: Orchestrator): boolean =>
    one.state === 'eligible' && one.orchestrator !== owner && (one.runs !== null || waits.has(one.orchestrator));
  const candidates = model.orchestrators.filter(takes);
  if (!candidates.length || moveOf(model, plan)) return null;
  const free = (one: Orchestrator): string => (one.load ? `, ${one.load.free} free` : '');
  const options = candidates.map((one) => ({ value: one.orchestrator, label: `${one.orchestrator} on ${one.host}${free(one)}` }));
  return {
    name: 'Move',
    title: `Move ${plan.plan} to another orchestrator`,
    what: `When the other one waits in the queue, ${owner} starts nothing new, lets running tasks end until the deadline, stops what runs then, and hands the plan over. No attempt counts as failed.`,
    key: 'm',
    keepsReason: true,
    fields: [{ name: 'to', label: 'To', options }, DEADLINES],
    command: (reason, { to = '', deadline }) =>
      command('planlease', 'owner', 'move', plan.plan, '--to', to, '--expect', owner, '--deadline', `${deadline}s`, '--reason', reason),
    run: async (reason, { to, deadline }) => {
      const body = { to, expected: owner, deadline_s: Number(deadline), reason };
      await change('POST', `${planPath(plan.plan)}/owner/move`, body);
      await refreshFleet(model);
    },
  };
}

/** What can be done about an orchestrator, by its name. */
export function orchestratorActions(model: Model, id: string, state: Orchestrator['state']): Action[] {
  const act = (name: string, word: string, what: string, more: Partial<Action> = {}): Action => ({
    name,
    title: `${name} ${id}`,
    what,
    keepsReason: word !== 'uncordon',
    command: (reason, { deadline }) => {
      const words = ['planlease', 'orchestrator', word, id];
      if (word === 'uncordon') return command(...words);
      return command(...words, ...(deadline ? ['--deadline', `${deadline}s`] : []), '--reason', reason);
    },
    run: async (reason, { deadline }) => {
      const body = deadline ? { reason, deadline_s: Number(deadline) } : { reason };
      await change('POST', `${orchestratorPath(id)}/${word}`, body);
      await refreshFleet(model);
    },
    ...more,
  });
  const cordon = act('Cordon', 'cordon', 'It takes no new plan and claims no new task. It goes on in the plans that it owns.');
  const drain = act('Drain', 'drain', 'It takes nothing new, lets running tasks end until the deadline, and gives its plans to the next in their queues.', {
    danger: true,
    fields: [DEADLINES],
  });
  const uncordon = act('Uncordon', 'uncordon', 'It takes plans again.');
  if (state === 'eligible') return [cordon, drain];
  return state === 'cordoned' ? [uncordon, drain] : [uncordon];
}

/** The pause of the whole fleet. */
export function pauseFleet(model: Model): Action {
  return {
    name: 'Pause the fleet',
    title: 'Pause the fleet',
    what: 'No process starts another task, in any plan of this namespace. What runs goes on, and owners stay.',
    danger: true,
    key: 'P',
    keepsReason: true,
    command: (reason) => command('planlease', 'fleet', 'pause', '--reason', reason),
    run: async (reason) => {
      await change('POST', '/v1/fleet/pause', { reason });
      await refreshFleet(model);
    },
  };
}

/** The end of the pause of the whole fleet. */
export function resumeFleet(model: Model): Action {
  return {
    name: 'Resume the fleet',
    title: 'Resume the fleet',
    what: 'Tasks start again, in all plans that are not paused themselves.',
    key: 'P',
    command: () => command('planlease', 'fleet', 'resume'),
    run: async (reason) => {
      await change('POST', '/v1/fleet/resume', { reason });
      await refreshFleet(model);
    },
  };
}

interface ButtonsProps {
  actions: Action[];
  choose: (action: Action) => void;
  /** What the actions are about, where the names alone do not say it. */
  about?: string;
}

export function ActionButtons({ actions, choose, about }: ButtonsProps) {
  useLayoutEffect(() => actionKeys(new Map(actions.flatMap((action) => (action.key ? [[action.key, () => choose(action)]] : [])))));
  return (
    <div class="actions">
      {actions.map((action) => (
        <button
          type="button"
          key={action.name}
          class={action.danger ? 'danger' : ''}
          aria-label={about ? `${action.name} ${about}` : undefined}
          title={action.key ? `${action.name} (${action.key})` : undefined}
          onClick={() => choose(action)}
        >
          {action.name}
        </button>
      ))}
    </div>
  );
}

export function ActionDialog({ action, close }: { action: Action; close: () => void }) {
  const [reason, setReason] = useState('');
  const [values, setValues] = useState<Values>(() =>
    Object.fromEntries((action.fields ?? []).map((field) => [field.name, field.first ?? field.options[0]?.value ?? ''])),
  );
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<Refused | null>(null);
  const line = action.command(reason.trim() || 'REASON', values);
  const run = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setRefused(null);
    try {
      await action.run(reason.trim(), values);
      close();
    } catch (error) {
      setRefused(error instanceof Refused ? error : new Refused(0, 'unknown', 'It did not work', String(error)));
      setBusy(false);
    }
  };
  return (
    <Dialog title={action.title} close={close}>
      <form onSubmit={run}>
        <p>{action.what}</p>
        {action.fields?.map(({ name, label, options }) => (
          <label class="field" key={name}>
            {label}
            <select value={values[name]} onChange={(event) => setValues({ ...values, [name]: event.currentTarget.value })}>
              {options.map((option) => (
                <option key={option.value} value={option.value}>
                  {option.label}
                </option>
              ))}
            </select>
          </label>
        ))}
        <label class="field">
          {action.keepsReason ? 'Why? It stays in the history.' : "Why? It stands in the sidecar's log."}
          <input required maxLength={500} autofocus value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
        </label>
        <div class="field">
          <span>The same on the command line</span>
          <div class="command">
            <code tabIndex={0}>
              <bdi>{line}</bdi>
            </code>
            <Copy text={line} />
          </div>
        </div>
        {refused && (
          <div class="refused" role="alert">
            <b>Refused: {refused.title.toLowerCase()}.</b>{' '}
            <bdi>{refused.detail}</bdi>
            {refused.kind === 'outcome-unknown' ? ' It may have been carried out: look before you try again.' : ' Nothing was changed.'}
          </div>
        )}
        <footer>
          <button type="button" class="quiet" onClick={close}>
            Leave it
          </button>
          <button type="submit" class={action.danger ? 'danger primary' : 'primary'} disabled={busy || !reason.trim()}>
            {action.name}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
