// The orchestrators: what each owns and can do, how loaded it is, whether it takes work, and how long ago it renewed
// its lease.

import { useState } from 'preact/hooks';
import { type Action, ActionButtons, orchestratorActions, pauseFleet } from './action';
import { counted, short } from './format';
import { href, useModel } from './hooks';
import { Text } from './parts';
import type { Orchestrator } from './types';

/** How many are shown at first: those that need a look first. */
const FIRST = 12;
/** How many are shown at most. */
const MOST = 200;

interface Props {
  writes: boolean;
  choose: (action: Action) => void;
}

export function Orchestrators({ writes, choose }: Props) {
  const model = useModel();
  const [all, setAll] = useState(false);
  const sorted = [...model.orchestrators].sort((a, b) => urgency(b) - urgency(a) || (a.orchestrator < b.orchestrator ? -1 : 1));
  const absent = (model.fleet?.cordons ?? []).filter((one) => !sorted.some((other) => other.orchestrator === one.orchestrator));
  return (
    <section class="panel orchestrators" aria-label="Orchestrators">
      <header>
        <h2>Orchestrators</h2>
        <span class="muted">{model.orchestrators.length}</span>
        {writes && model.fleet && !model.fleet.paused && <ActionButtons actions={[pauseFleet(model)]} choose={choose} />}
      </header>
      {!sorted.length && <p class="empty">None is registered: planlease run starts one.</p>}
      <ul>
        {sorted.slice(0, all ? MOST : FIRST).map((one) => (
          <li key={one.orchestrator}>
            <Item one={one} writes={writes} choose={choose} />
          </li>
        ))}
        {absent.slice(0, FIRST).map((one) => (
          <li key={`cordon ${one.orchestrator}`}>
            <div class="who">
              <Text>{one.orchestrator}</Text>
              <small>not running</small>
            </div>
            <span class="trust">cordoned</span>
            <p class="cordon">
              <Text>{one.by}</Text>: <Text>{short(one.why, 120)}</Text>
            </p>
            {writes && <ActionButtons actions={orchestratorActions(model, one.orchestrator, 'cordoned').slice(0, 1)} choose={choose} about={one.orchestrator} />}
          </li>
        ))}
      </ul>
      {sorted.length > FIRST && (
        <p class="more">
          <button type="button" class="quiet" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? 'Show fewer' : `Show all ${sorted.length}`}
          </button>
          {all && sorted.length > MOST && <span class="muted"> and {sorted.length - MOST} more</span>}
        </p>
      )}
    </section>
  );
}

function Item({ one, writes, choose }: Props & { one: Orchestrator }) {
  const model = useModel();
  const cordon = model.fleet?.cordons.find((other) => other.orchestrator === one.orchestrator);
  const can = one.runs?.can ?? [];
  return (
    <>
      <div class="who">
        <Text>{one.orchestrator}</Text>
        {one.state !== 'eligible' && <span class={`tag ${one.state}`}>{one.state}</span>}
        <small>
          <Text>{one.host}</Text> · <Text>{one.version}</Text> · {one.owns.length ? counted(one.owns.length, 'plan') : 'owns nothing'}
        </small>
      </div>
      <Trust one={one} />
      {one.load && <Jobs running={one.load.running} free={one.load.free} />}
      {cordon && (
        <p class="cordon">
          <Text>{cordon.by}</Text>: <Text>{short(cordon.why, 120)}</Text>
        </p>
      )}
      {can.length > 0 && (
        <p class="can" aria-label="Can">
          {can.slice(0, 8).map((word) => (
            <span class="tag" key={word}>
              <Text>{short(word, 40)}</Text>
            </span>
          ))}
          {can.length > 8 && <small>and {can.length - 8} more</small>}
        </p>
      )}
      {one.owns.length > 0 && one.owns.length <= 3 && (
        <div class="owns">
          {one.owns.map((plan) => (
            <a key={plan} href={href(plan)}>
              <Text>{plan}</Text>
            </a>
          ))}
        </div>
      )}
      {writes && <ActionButtons actions={orchestratorActions(model, one.orchestrator, one.state)} choose={choose} about={one.orchestrator} />}
    </>
  );
}

/** How many of its jobs an orchestrator uses. */
function Jobs({ running, free }: { running: number; free: number }) {
  const all = running + free;
  const words = `${running} of ${counted(all, 'job')} running`;
  return (
    <div class="jobs">
      <div class="bar" role="img" aria-label={words}>
        <i class="in_progress" style={{ width: all ? `${(running / all) * 100}%` : '0' }} />
      </div>
      <small aria-hidden="true">
        {running}/{all} jobs
      </small>
    </div>
  );
}

/** How much an orchestrator needs a look: its lease runs out, or it takes nothing new. */
function urgency(one: Orchestrator): number {
  if (one.ttl_s === null || runsOut(one)) return 2;
  return one.state === 'eligible' ? 0 : 1;
}

/** A lease that was not renewed for this part of its time to live is running out: it is renewed every third of it. */
const RUNNING_OUT = 0.6;

/** Whether the lease is running out. etcd says how it stands to the second only, so one second is no reason yet. */
export function runsOut({ ttl_s, renewed_ago_s }: Orchestrator): boolean {
  return ttl_s !== null && renewed_ago_s !== null && renewed_ago_s - 1 > ttl_s * RUNNING_OUT;
}

function Trust({ one }: { one: Orchestrator }) {
  const { ttl_s: ttl, renewed_ago_s: age } = one;
  if (age === null || ttl === null) return <span class="trust gone">lease gone</span>;
  const left = Math.max(0, 1 - age / ttl);
  return (
    <div class={`trust ${runsOut(one) ? 'low' : ''}`}>
      <span>renewed {age} s ago</span>
      <div class="bar" role="img" aria-label={`${Math.round(left * 100)} % of ${ttl} s left`}>
        <i style={{ width: `${left * 100}%` }} />
      </div>
    </div>
  );
}
