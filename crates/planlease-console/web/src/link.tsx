// How old what is shown is, and what to do when it grows older.

import { type Action, ActionButtons, resumeFleet } from './action';
import { ago, clock, duration } from './format';
import { useModel, useNow } from './hooks';
import { Text } from './parts';

/** Always there: live, and how long ago something was heard; or not live. */
export function LinkState() {
  const model = useModel();
  const now = useNow(500);
  const { link } = model;
  const age = model.heardAt ? Math.max(0, now - model.heardAt) / 1000 : null;
  const state = link.state === 'live' && model.trouble !== null ? 'trouble' : link.state;
  const words = { live: 'Live', trouble: 'Not sure', connecting: 'Connecting', broken: 'Disconnected', 'signed-out': 'Signed out' }[state];
  return (
    <div class={`link ${state}`} title={model.revision === null ? undefined : `revision ${model.revision}`}>
      <span class="pulse" aria-hidden="true" />
      <b>{words}</b>
      {age !== null && <span class="age">{age < 1 ? 'just now' : `${duration(Math.floor(age))} ago`}</span>}
      {model.revision !== null && <span class="revision">r{model.revision}</span>}
    </div>
  );
}

/** What is wrong, if something is. */
export function Banner() {
  const model = useModel();
  const now = useNow(500);
  const { link, trouble } = model;
  const from = model.heardAt ? `What you see is from ${clock(model.heardAt)}.` : '';
  if (link.state === 'signed-out') {
    return (
      <div class="banner" role="alert">
        <b>This browser is not signed in any more.</b> {from} Open the newest one-time URL that the console has printed.
      </div>
    );
  }
  if (link.state === 'broken') {
    const wait = Math.max(0, Math.ceil((link.retryAt - now) / 1000));
    return (
      <div class="banner" role="alert">
        <b>The connection is broken:</b> {link.why}. {from} {wait > 0 ? `Trying again in ${wait} s.` : 'Trying again now.'}
      </div>
    );
  }
  if (trouble !== null) {
    return (
      <div class="banner" role="alert">
        <b>The sidecar cannot vouch for what is shown:</b> {trouble}.
      </div>
    );
  }
  return null;
}

/** Says that nothing starts anywhere, while the fleet is paused. */
export function PauseBanner({ writes, choose }: { writes: boolean; choose: (action: Action) => void }) {
  const model = useModel();
  const now = useNow(5000);
  const paused = model.fleet?.paused;
  if (!paused) return null;
  return (
    <div class="banner warn" role="status">
      <span>
        <b>The fleet is paused</b> by <Text>{paused.by}</Text>, {ago(paused.at, now)}: <Text>{paused.why}</Text>. No task starts; what
        runs goes on.
      </span>
      {writes && <ActionButtons actions={[resumeFleet(model)]} choose={choose} />}
    </div>
  );
}
