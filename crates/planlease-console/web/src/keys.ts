// The keyboard: `/` searches, `j` and `k` move, Enter opens, Esc goes back, `l` shows logs, `?` explains; and a key for
// each action that is offered.

export interface ListHandler {
  move: (by: number) => void;
  open: () => void;
}

let handlers: ListHandler[] = [];

/** The list that was shown last takes the keys; returns what gives them back. */
export function listKeys(handler: ListHandler): () => void {
  handlers.push(handler);
  return () => {
    handlers = handlers.filter((other) => other !== handler);
  };
}

let actions: Map<string, () => void>[] = [];

/** Keys of the actions that are offered; returns what gives them back. */
export function actionKeys(keys: Map<string, () => void>): () => void {
  actions.push(keys);
  return () => {
    actions = actions.filter((other) => other !== keys);
  };
}

interface Global {
  search: () => void;
  help: () => void;
  back: () => void;
  logs: () => void;
}

/** Listens to the keys of the whole page. */
export function pageKeys(global: Global): () => void {
  const pressed = (event: KeyboardEvent): void => {
    const target = event.target as HTMLElement;
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
    if (event.key === 'Escape' && typing && !target.closest('dialog')) {
      target.blur();
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const list = handlers.at(-1);
    const is = (...keys: string[]): boolean => keys.includes(event.key);
    if (is('/')) global.search();
    else if (is('?')) global.help();
    else if (is('Escape')) global.back();
    else if (is('l')) global.logs();
    else if (is('j', 'ArrowDown')) list?.move(1);
    else if (is('k', 'ArrowUp')) list?.move(-1);
    else if (is('g', 'Home')) list?.move(-Infinity);
    else if (is('G', 'End')) list?.move(Infinity);
    else if (is('Enter') && !target.closest('a,button')) list?.open();
    else {
      const act = actions.findLast((keys) => keys.has(event.key))?.get(event.key);
      if (!act) return;
      act();
    }
    event.preventDefault();
  };
  addEventListener('keydown', pressed);
  return () => removeEventListener('keydown', pressed);
}
