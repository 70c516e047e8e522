// One task: its record, why it is where it is, what it has found out, what happened to it.

import { type Action, ActionButtons, taskActions } from './action';
import { taskPath } from './api';
import { ago, clock, command, short, since } from './format';
import { href, useFetched, useNow } from './hooks';
import type { Plan } from './model';
import { TaskBadge, type TaskState, TaskDot, Text } from './parts';
import type { TaskDetail, WhyTask } from './types';

interface Props {
  plan: Plan;
  task: string;
  writes: boolean;
  choose: (action: Action) => void;
  close: () => void;
}

/** How much of a text is shown. */
const MOST = 4000;

export function TaskPanel({ plan, task: id, writes, choose, close }: Props) {
  const now = useNow();
  const known = plan.tasks.get(id);
  const path = taskPath(plan.plan, id);
  const detail = useFetched<TaskDetail>(known ? path : null, `${known?.revision} ${plan.defined}`).value;
  const why = useFetched<WhyTask>(known ? `${path}/why` : null, plan.version, 1000).value;
  if (!known) {
    return (
      <section class="panel task-panel" aria-label="Task">
        <Head title={id} close={close} />
        <p class="empty">The plan has no such task.</p>
      </section>
    );
  }
  const decision = known.status === 'failed' ? known.parked : null;
  const state: TaskState = decision ? 'parked' : detail?.claimant_gone ? 'lost' : known.status;
  return (
    <section class="panel task-panel" aria-label={`Task ${id}`}>
      <Head title={id} close={close} />
      <div class="scroll" tabIndex={0} role="region" aria-label={`Task ${id}: details`}>
        <p class="description">
          <Text>{short(detail?.description || known.description, MOST)}</Text>
        </p>
        <div class="line">
          <TaskBadge state={state} />
          {known.attempt > 0 && <span class="muted">attempt {known.attempt}</span>}
          {known.failures > 0 && <span class="muted">{known.failures} failed</span>}
          {known.lost > 0 && <span class="muted">{known.lost} lost</span>}
          <span class="muted">revision {known.revision}</span>
        </div>
        {writes && <ActionButtons actions={taskActions(plan, known)} choose={choose} />}
        {known.attempt > 0 && (
          <p>
            <a class="logs-link" href={href(plan.plan, 'logs', id)}>
              Logs
            </a>
          </p>
        )}
        {known.cancel && (
          <section class="quote warn">
            <h3>To be cancelled, then {known.cancel.then === 'skip' ? 'skipped' : known.cancel.then === 'fail' ? 'failed' : 'put back'}</h3>
            <p>
              <Text>{known.cancel.by}</Text>, {ago(known.cancel.at, now)}: <Text>{short(known.cancel.why, MOST)}</Text>
            </p>
          </section>
        )}
        {known.approval?.question && (
          <section class="quote warn">
            <h3>Waits for approval</h3>
            <p>
              <Text>{short(known.approval.question, MOST)}</Text>
            </p>
          </section>
        )}
        {why && (
          <div class="because">
            <p>
              <Text>{short(why.now, MOST)}</Text>
            </p>
            <p class="next">
              <Text>{short(why.next, MOST)}</Text>
            </p>
          </div>
        )}
        <dl class="facts">
          {known.claim && (
            <div>
              <dt>Claimed by</dt>
              <dd>
                <Text>{known.claim.by}</Text> <span class="muted">for {since(known.claim.since, now)}</span>
              </dd>
            </div>
          )}
          {known.depends_on.length > 0 && (
            <div>
              <dt>Depends on</dt>
              <dd>
                {known.depends_on.map((other) => (
                  <a key={other} class="task-link" href={href(plan.plan, 'tasks', other)}>
                    <TaskDot state={plan.tasks.get(other)?.status ?? 'pending'} />
                    <Text>{other}</Text>
                  </a>
                ))}
              </dd>
            </div>
          )}
          {detail?.command && (
            <div>
              <dt>Runs</dt>
              <dd>
                <code>
                  <Text>{short(command(...detail.command), MOST)}</Text>
                </code>
              </dd>
            </div>
          )}
        </dl>
        <Quote title="Waits for a decision" text={decision} style="warn" />
        <Quote title="Error" text={known.error} style="bad" />
        <Quote title="Progress" text={known.progress} />
        <Quote title="Notes" text={known.notes} />
        <Quote title="Skipped because" text={known.skip_reason} />
        <Quote title="Findings" text={detail?.findings?.text ?? null} pre />
        {detail?.output && detail.output.text !== detail.findings?.text && (
          <Quote title={`Output of attempt ${detail.output.attempt}`} text={detail.output.text} pre />
        )}
        {why && why.late.length > 0 && (
          <section class="history">
            <h3>Results that came too late</h3>
            <ol>
              {why.late.map((late, n) => (
                <li key={n}>
                  <TaskDot state="lost" />
                  <span>
                    <Text>{late.by}</Text> said {late.status} ({late.refused})
                    {late.said && (
                      <small>
                        <Text>{short(late.said, 200)}</Text>
                      </small>
                    )}
                  </span>
                  <time>{ago(late.at, now)}</time>
                </li>
              ))}
            </ol>
          </section>
        )}
        {detail && detail.transitions.length > 0 && (
          <section class="history">
            <h3>What happened</h3>
            <ol>
              {[...detail.transitions].reverse().map((one, n) => (
                <li key={n}>
                  <TaskDot state={one.to} />
                  <span>
                    {one.to === 'in_progress' ? `attempt ${one.attempt} started` : one.to.replace('_', ' ')} by <Text>{one.by}</Text>
                    {one.why && (
                      <small>
                        <Text>{short(one.why, 200)}</Text>
                      </small>
                    )}
                  </span>
                  <time title={one.at}>{clock(one.at)}</time>
                </li>
              ))}
            </ol>
          </section>
        )}
        <p class="muted raw">
          {command('planlease', 'task', 'show', plan.plan, id)}
        </p>
      </div>
    </section>
  );
}

function Head({ title, close }: { title: string; close: () => void }) {
  return (
    <header>
      <h2>
        Task <Text>{title}</Text>
      </h2>
      <button type="button" class="icon" aria-label="Close the task" onClick={close}>
        ×
      </button>
    </header>
  );
}

function Quote({ title, text, style = '', pre }: { title: string; text: string | null; style?: string; pre?: boolean }) {
  if (!text) return null;
  return (
    <section class={`quote ${style}`}>
      <h3>{title}</h3>
      {pre ? (
        <pre tabIndex={0}>{short(text, MOST)}</pre>
      ) : (
        <p>
          <Text>{short(text, MOST)}</Text>
        </p>
      )}
    </section>
  );
}
