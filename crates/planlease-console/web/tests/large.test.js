// Ten thousand tasks and a thousand plans: the page holds few elements whatever their number, and follows changes.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browser, Fleet, open, plan, until } from './harness.js';
import { client, eachOf, SKIP, tenThousand } from './large.js';

/** How many rows may be there at once: those of a tall screen, and some beyond. */
const MOST_ROWS = 80;

let fleet;
let chrome;

before(async () => {
  [fleet, chrome] = await Promise.all([Fleet.start(), browser()]);
});

after(async () => {
  await chrome?.close();
  await fleet?.stop();
});

const rowCount = (page) => page.getByRole('row').count();

test('ten thousand tasks', async (t) => {
  await fleet.import('big', tenThousand());
  const { url, base } = await fleet.console();
  const opened = performance.now();
  const page = await open(chrome, url);
  await page.getByRole('row').filter({ hasText: 'big' }).waitFor();
  t.diagnostic(`fleet page there after ${Math.round(performance.now() - opened)} ms`);
  await page.goto(`${base}/#/plan/big`);
  await page.getByText('Task 1 of phase 1', { exact: true }).first().waitFor();
  await page.getByText('1 Phase 1').waitFor();
  assert.ok((await rowCount(page)) <= MOST_ROWS, `${await rowCount(page)} rows`);
  await page.keyboard.press('G');
  await page.getByText('Task 200 of phase 50', { exact: true }).first().waitFor();
  assert.ok((await rowCount(page)) <= MOST_ROWS);

  const other = await fleet.console();
  const ask = await client(other.url);
  const skip = (task) =>
    ask('PATCH', `/v1/plans/big/tasks/${task}`, 'application/json', JSON.stringify(SKIP), { 'If-Match': '*' });
  await page.keyboard.press('g');
  await page.getByText('Task 1 of phase 1', { exact: true }).first().waitFor();
  let over = false;
  const background = eachOf(100_000, 1, async (n) => {
    if (over) return;
    await Promise.all([skip(`${10 + (n % 40)}.${1 + Math.floor(n / 40)}`), new Promise((resolve) => setTimeout(resolve, 20))]);
  });
  const latencies = [];
  for (let n = 1; n <= 8; n++) {
    const shown = page.getByRole('row').filter({ hasText: `Task ${n} of phase 1` }).first();
    const seen = shown.getByText('skipped').waitFor().then(() => performance.now());
    await skip(`1.${n}`);
    const committed = performance.now();
    latencies.push(Math.max(0, (await seen) - committed));
  }
  over = true;
  await background;
  latencies.sort((a, b) => a - b);
  t.diagnostic(`commit to DOM beside steady changes: median ${Math.round(latencies[4])} ms, most ${Math.round(latencies.at(-1))} ms`);
  await page.getByRole('link', { name: 'Graph' }).click();
  await page.getByText('10000 tasks: phases are drawn as one').waitFor();
  await until('phases as nodes', async () => (await page.locator('svg .node').count()) >= 50);
  assert.ok((await page.locator('svg .node').count()) <= 200);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a thousand plans', async (t) => {
  const { url } = await fleet.console();
  const ask = await client(url);
  const body = (n) => plan(`Plan ${n}`, { 1: { name: 'Work', tasks: [1, 2, 3].map((id) => ({ id: `${id}`, text: 'work' })) } });
  await eachOf(1000, 16, (n) => ask('PUT', `/v1/plans/many-${String(n).padStart(4, '0')}`, 'application/toml', body(n)));
  const { url: next } = await fleet.console();
  const opened = performance.now();
  const page = await open(chrome, next);
  await page.getByText(/1,00\d plans/).waitFor();
  t.diagnostic(`a thousand plans there after ${Math.round(performance.now() - opened)} ms`);
  assert.ok((await rowCount(page)) <= MOST_ROWS, `${await rowCount(page)} rows`);
  await page.keyboard.press('G');
  await page.getByText('many-0999').waitFor();
  assert.ok((await rowCount(page)) <= MOST_ROWS);
  await page.getByRole('searchbox').fill('many-0500');
  await until('one plan', async () => (await rowCount(page)) === 2);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});
