// How components see the model, the time and the address.

import { createContext } from 'preact';
import { useContext, useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { get } from './api';
import { Model } from './model';

export const ModelContext = createContext(new Model());

/** The model; the component is drawn again whenever it changed. */
export function useModel(): Model {
  const model = useContext(ModelContext);
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => model.subscribe(() => redraw(undefined as never)), [model]);
  return model;
}

/** The time; the component is drawn again this often. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export type Route = { page: 'fleet' } | { page: 'plan'; plan: string; tab: string; task: string | null };

/** `#/plan/NAME/TAB/TASK`; anything else is the fleet. */
export function parseRoute(hash: string): Route {
  const [page, plan, tab, task] = hash.replace(/^#\/?/, '').split('/').map(decode);
  if (page !== 'plan' || !plan) return { page: 'fleet' };
  return { page: 'plan', plan, tab: tab || 'tasks', task: task || null };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function href(plan: string, tab = 'tasks', task: string | null = null): string {
  const parts = ['plan', plan, tab, ...(task === null ? [] : [task])];
  return `#/${parts.map(encodeURIComponent).join('/')}`;
}

export function useRoute(): Route {
  const [route, setRoute] = useState(parseRoute(location.hash));
  useEffect(() => {
    const changed = (): void => setRoute(parseRoute(location.hash));
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return route;
}

/** How long it takes until a document is asked for again that could not be had. */
const AGAIN_MS = 5_000;

export interface Fetched<T> {
  value: T | null;
  error: string | null;
}

/** A document, fetched again when the key changes, but at most this often; of the same path the last one is shown meanwhile. */
export function useFetched<T>(path: string | null, key: unknown, everyMs = 500): Fetched<T> {
  const [state, setState] = useState<Fetched<T> & { path: string | null }>({ path: null, value: null, error: null });
  const fetching = useRef<{ path: string | null; timer: ReturnType<typeof setTimeout> | null; last: number }>({
    path: null,
    timer: null,
    last: 0,
  });
  useEffect(() => {
    const own = fetching.current;
    if (own.path !== path) {
      if (own.timer) clearTimeout(own.timer);
      Object.assign(own, { path, timer: null, last: 0 });
    }
    if (path === null || own.timer) return;
    const fetchIt = (): void => {
      Object.assign(own, { timer: null, last: Date.now() });
      get<T>(path)
        .then((value) => own.path === path && setState({ path, value, error: null }))
        .catch((error: Error) => {
          if (own.path !== path) return;
          setState((old) => ({ path, value: old.path === path ? old.value : null, error: error.message }));
          own.timer ??= setTimeout(fetchIt, AGAIN_MS);
        });
    };
    own.timer = setTimeout(fetchIt, Math.max(0, own.last + everyMs - Date.now()));
  }, [path, key]);
  useEffect(
    () => () => {
      if (fetching.current.timer) clearTimeout(fetching.current.timer);
      fetching.current.path = null;
    },
    [],
  );
  return state.path === path ? state : { value: null, error: null };
}
