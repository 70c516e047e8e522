// What the page costs, printed: `cargo xtask console --measure`. Nothing is asserted: the times are this machine's.
// MINUTES: for how long the heap is looked at under steady changes, 3 by default.

import { browser, Fleet, open, plan } from '../tests/harness.js';
import { client, eachOf, SKIP, tenThousand } from '../tests/large.js';

const MINUTES = Number(process.env.MINUTES ?? 3);
/** How often a paint is measured. */
const PAINTS = Number(process.env.PAINTS ?? 5);
/** How many changes a second are made. */
const PACE = 50;
/** How many changes are watched until they are in the page. */
const WATCHED = 60;

const fleet = await Fleet.start();
const chrome = await browser();

/** Notes when the first row of a list is there, in ms since the navigation began. */
const noteFirstRow = () => {
  const look = () => {
    if (document.querySelector('.list .row')) window.firstRow = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
};

async function paint(what, hash) {
  const times = [];
  for (let n = 0; n < PAINTS; n++) {
    const { url, base, running } = await fleet.console();
    const page = await open(chrome, url);
    await page.addInitScript(noteFirstRow);
    await page.goto('about:blank');
    await page.goto(`${base}/${hash}`);
    await page.waitForFunction(() => window.firstRow);
    times.push(await page.evaluate(() => ({ row: window.firstRow, paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0 })));
    await page.context().close();
    await running.kill();
  }
  const median = (name) => Math.round(times.map((time) => time[name]).sort((a, b) => a - b)[Math.floor(times.length / 2)]);
  console.log(`${what}: first paint ${median('paint')} ms, first rows ${median('row')} ms (median of ${times.length})`);
}

/** Changes tasks that are not looked at, so many a second, until it is stopped. */
function changes(ask) {
  const state = { over: false, made: 0, failed: 0 };
  const begun = performance.now();
  const work = async () => {
    while (!state.over) {
      const n = state.made++;
      const due = begun + (n * 1000) / PACE - performance.now();
      if (due > 0) await new Promise((resolve) => setTimeout(resolve, due));
      const task = `${10 + (n % 40)}.${1 + (Math.floor(n / 40) % 200)}`;
      const change = Math.floor(n / 8000) % 2 ? { change: 'retry', reason: 'measured' } : SKIP;
      await ask('PATCH', `/v1/plans/big/tasks/${task}`, 'application/json', JSON.stringify(change), { 'If-Match': '*' }).catch(() => state.failed++);
    }
  };
  state.ended = Promise.all(Array.from({ length: 8 }, work));
  state.begun = begun;
  return state;
}

async function latency(page, ask) {
  const found = [];
  for (let n = 1; n <= WATCHED; n++) {
    const task = `1.${1 + (n % 10)}`;
    const [change, word] = n <= 10 || Math.floor((n - 1) / 10) % 2 === 0 ? [SKIP, 'skipped'] : [{ change: 'retry', reason: 'measured' }, 'ready'];
    const seen = page.evaluate(
      ([task, word]) =>
        new Promise((resolve) => {
          const look = () => {
            const row = [...document.querySelectorAll('.tasks .row')].find((one) => one.querySelector('.id')?.textContent.startsWith(task));
            const text = row?.querySelector('.badge')?.textContent ?? '';
            if (text === word || (word === 'ready' && text === 'pending')) resolve(Date.now());
            else requestAnimationFrame(look);
          };
          look();
        }),
      [task, word],
    );
    await ask('PATCH', `/v1/plans/big/tasks/${task}`, 'application/json', JSON.stringify(change), { 'If-Match': '*' });
    const committed = Date.now();
    found.push(Math.max(0, (await seen) - committed));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  found.sort((a, b) => a - b);
  const at = (part) => found[Math.min(found.length - 1, Math.floor(found.length * part))];
  console.log(`update, answer of the commit to DOM, beside ${PACE} changes/s in the same plan: median ${at(0.5)} ms, 95 % ${at(0.95)} ms, most ${at(1)} ms`);
}

async function heap(page) {
  const session = await page.context().newCDPSession(page);
  const look = async () => {
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    const { nodes, jsEventListeners } = await session.send('Memory.getDOMCounters');
    return { mb: usedSize / 2 ** 20, nodes, jsEventListeners };
  };
  const end = Date.now() + MINUTES * 60_000;
  const first = await look();
  let last = first;
  while (Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(30_000, end - Date.now())));
    last = await look();
    console.log(`  heap ${last.mb.toFixed(1)} MiB, ${last.nodes} nodes, ${last.jsEventListeners} listeners`);
  }
  console.log(`heap over ${MINUTES} min of ${PACE} changes/s: ${first.mb.toFixed(1)} to ${last.mb.toFixed(1)} MiB; nodes ${first.nodes} to ${last.nodes}`);
}

try {
  await fleet.import('big', tenThousand());
  await paint('plan page, 10,000 tasks', '#/plan/big');
  const ask = await client((await fleet.console()).url);
  const page = await open(chrome, (await fleet.console()).url);
  const { origin } = new URL(page.url());
  await page.goto(`${origin}/#/plan/big`);
  await page.getByText('Task 1 of phase 1', { exact: true }).first().waitFor();
  const steady = changes(ask);
  await latency(page, ask);
  await heap(page);
  steady.over = true;
  await steady.ended;
  const seconds = (performance.now() - steady.begun) / 1000;
  console.log(`changes made: ${(steady.made / seconds).toFixed(1)}/s, ${steady.failed} failed`);
  await page.context().close();
  const body = (n) => plan(`Plan ${n}`, { 1: { name: 'Work', tasks: [1, 2, 3].map((id) => ({ id: `${id}`, text: 'work' })) } });
  await eachOf(1000, 8, (n) => ask('PUT', `/v1/plans/many-${String(n).padStart(4, '0')}`, 'application/toml', body(n)));
  await paint('fleet page, 1,001 plans with 13,000 tasks', '#/');
} finally {
  await chrome.close();
  await fleet.stop();
}
