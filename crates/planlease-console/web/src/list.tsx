// A list of any length, of which only the visible rows are there; moved through by keys.

import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { listKeys } from './keys';

/** How many rows beyond the visible ones are there. */
const BEYOND = 8;

export interface Column {
  name: string;
  /** The class of its cells: widths, and where it is left out. */
  style: string;
}

interface Props<T> {
  label: string;
  columns: Column[];
  items: T[];
  rowHeight: number;
  keyOf: (item: T) => string;
  /** The cells of a row. */
  cells: (item: T) => ComponentChildren[];
  rowClass?: (item: T) => string;
  selected?: string | null;
  onOpen: (item: T) => void;
  /** Whether the keys stop at a row; at all of them by default. */
  canChoose?: (item: T) => boolean;
  empty: ComponentChildren;
}

export function List<T>({ label, columns, items, rowHeight, keyOf, cells, rowClass, selected, onOpen, canChoose, empty }: Props<T>) {
  const scroller = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [at, setAt] = useState<string | null>(selected ?? null);
  const current = selected ?? at;

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, [items.length === 0]);

  const show = (index: number): void => {
    const element = scroller.current;
    if (!element) return;
    const [from, to] = [index * rowHeight, (index + 1) * rowHeight];
    if (from < element.scrollTop) element.scrollTop = from;
    else if (to > element.scrollTop + element.clientHeight) element.scrollTop = to - element.clientHeight;
  };

  useEffect(() => {
    const index = selected ? items.findIndex((item) => keyOf(item) === selected) : -1;
    if (index >= 0) show(index);
  }, [selected]);

  // Before the browser paints: what is seen takes keys.
  useLayoutEffect(() =>
    listKeys({
      move: (by) => {
        if (!items.length) return;
        const index = items.findIndex((item) => keyOf(item) === current);
        const last = items.length - 1;
        let next = Math.min(last, Math.max(0, index < 0 && Number.isFinite(by) ? 0 : index + by));
        // What cannot be chosen is passed over: onwards, and from an end inwards.
        const step = Number.isFinite(by) ? Math.sign(by) : -Math.sign(by);
        while (canChoose && items[next] && !canChoose(items[next]!)) next += index < 0 && Number.isFinite(by) ? 1 : step;
        const item = items[next];
        if (!item) return;
        setAt(keyOf(item));
        show(next);
        if (selected !== undefined) onOpen(item);
      },
      open: () => {
        const item = items.find((one) => keyOf(one) === current);
        if (item) onOpen(item);
      },
    }),
  );

  if (!items.length) return <div class="empty">{empty}</div>;
  const first = Math.max(0, Math.floor(top / rowHeight) - BEYOND);
  const last = Math.min(items.length, Math.ceil((top + height) / rowHeight) + BEYOND);
  const rows = [];
  for (let index = first; index < last; index++) {
    const item = items[index]!;
    const key = keyOf(item);
    rows.push(
      <div
        key={key}
        role="row"
        aria-rowindex={index + 2}
        aria-current={key === current ? 'true' : undefined}
        class={`row ${rowClass?.(item) ?? ''}`}
        style={{ top: `${index * rowHeight}px`, height: `${rowHeight}px` }}
        onClick={(event) => {
          if ((event.target as Element).closest('a,button')) return;
          setAt(key);
          onOpen(item);
        }}
      >
        {cells(item).map((cell, n) => (
          <div role="cell" class={`cell ${columns[n]!.style}`} key={n}>
            {cell}
          </div>
        ))}
      </div>,
    );
  }
  return (
    <div class="list" role="table" aria-label={label} aria-rowcount={items.length + 1}>
      <div role="rowgroup" class="head">
        <div role="row" class="row-head" aria-rowindex={1}>
          {columns.map((column) => (
            <div role="columnheader" class={`cell ${column.style}`} key={column.name}>
              {column.name}
            </div>
          ))}
        </div>
      </div>
      <div
        role="rowgroup"
        class="scroller"
        ref={scroller}
        tabIndex={0}
        aria-label={`${label}: rows`}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        <div class="space" role="presentation" style={{ height: `${items.length * rowHeight}px` }}>
          {rows}
        </div>
      </div>
    </div>
  );
}
