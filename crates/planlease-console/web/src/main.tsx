// The console: starts what keeps the model live, and draws the page.

import { render } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type Action, ActionDialog } from './action';
import { get } from './api';
import './app.css';
import { Estimates } from './estimates';
import { Fleet } from './fleet';
import { Help } from './help';
import { href, ModelContext, useModel, useRoute } from './hooks';
import { pageKeys } from './keys';
import { Banner, LinkState, PauseBanner } from './link';
import { follow, poll } from './live';
import { Model } from './model';
import { PlanPage } from './plan';
import { applyTheme, ThemeSwitch } from './theme';

const model = new Model();
applyTheme();
void follow(model);
void poll(model);

function App() {
  const route = useRoute();
  const [search, setSearch] = useState('');
  const [help, setHelp] = useState(false);
  const [action, setAction] = useState<Action | null>(null);
  const [writes, setWrites] = useState(false);
  const box = useRef<HTMLInputElement>(null);
  const estimates = useMemo(() => new Estimates(model), []);
  const page = route.page === 'plan' ? `plan ${route.plan}` : 'fleet';
  useEffect(() => {
    get<{ writes: boolean }>('/console.json').then((known) => setWrites(known.writes), () => {});
  }, []);
  useEffect(() => setSearch(''), [page]);
  useEffect(() => {
    document.title = route.page === 'plan' ? `${route.plan}: planlease` : 'planlease';
  }, [page]);
  useLayoutEffect(
    () =>
      pageKeys({
        search: () => box.current?.focus(),
        help: () => setHelp(true),
        logs: () => {
          if (route.page !== 'plan') return;
          location.hash = href(route.plan, route.tab === 'logs' ? 'tasks' : 'logs', route.task);
        },
        back: () => {
          if (route.page !== 'plan') setSearch('');
          else if (route.task !== null) location.hash = href(route.plan, route.tab);
          else location.hash = '#/';
        },
      }),
    [page, route],
  );
  return (
    <>
      <header class="top">
        <a href="#/" class="brand" aria-label="planlease: the fleet">
          <img src="/icon.svg" alt="" width="22" height="22" />
          <b>planlease</b>
        </a>
        <label class="search">
          <span class="sr">Search</span>
          <input
            ref={box}
            type="search"
            placeholder={route.page === 'plan' ? 'Search tasks' : 'Search plans, owners, hosts'}
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
          <kbd aria-hidden="true">/</kbd>
        </label>
        <LinkState />
        <ThemeSwitch />
        <button type="button" class="icon" aria-label="Help" title="Help (?)" onClick={() => setHelp(true)}>
          ?
        </button>
      </header>
      <Banner />
      <PauseBanner writes={writes} choose={setAction} />
      <Stage>
        {route.page === 'plan' ? (
          <PlanPage key={route.plan} route={route} search={search} writes={writes} choose={setAction} />
        ) : (
          <Fleet search={search} estimates={estimates} writes={writes} choose={setAction} />
        )}
      </Stage>
      {action && <ActionDialog action={action} close={() => setAction(null)} />}
      {help && <Help close={() => setHelp(false)} writes={writes} />}
    </>
  );
}

/** What the link says is old is grey. */
function Stage({ children }: { children: preact.ComponentChildren }) {
  const { link, trouble } = useModel();
  const old = (link.state !== 'live' && link.state !== 'connecting') || (trouble !== null && !trouble.startsWith('draining'));
  return <main class={old ? 'old' : ''}>{children}</main>;
}

render(
  <ModelContext.Provider value={model}>
    <App />
  </ModelContext.Provider>,
  document.getElementById('app')!,
);
