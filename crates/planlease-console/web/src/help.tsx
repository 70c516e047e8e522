// What the keys do.

import { useState } from 'preact/hooks';
import { operator } from './api';
import { Dialog } from './dialog';

const KEYS: [string, string][] = [
  ['/', 'search'],
  ['j  k', 'next, previous row'],
  ['g  G', 'first, last row'],
  ['Enter', 'open'],
  ['Esc', 'back'],
  ['l', 'logs of the selected task'],
  ['?', 'this page'],
];

/** The keys of actions, where they are offered. */
const ACTIONS: [string, string][] = [
  ['r', 'retry the task'],
  ['s', 'skip the task'],
  ['c', 'cancel the attempt'],
  ['a', 'approve what waits for it'],
  ['x', 'reject what waits for approval'],
  ['p', 'pause, resume the plan'],
  ['m', 'move the plan'],
  ['R', 'end the ownership'],
  ['C', 'cancel the plan'],
  ['P', 'pause, resume the fleet'],
];

export function Help({ close, writes }: { close: () => void; writes: boolean }) {
  const [name, setName] = useState(operator.get());
  return (
    <Dialog title="Help" close={close}>
      <dl class="keys">
        {[...KEYS, ...(writes ? ACTIONS : [])].map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      {writes ? (
        <label class="field">
          Your name, for the records of what you change
          <input
            value={name}
            maxLength={200}
            placeholder="the name the console was started with"
            onInput={(event) => {
              setName(event.currentTarget.value);
              operator.set(event.currentTarget.value);
            }}
          />
        </label>
      ) : (
        <p class="muted">This console is read-only. Actions: planlease console, or planlease sidecar --console-writes.</p>
      )}
      <p class="muted">Everything shown comes from the sidecar's interface; /openapi.json describes it.</p>
    </Dialog>
  );
}
