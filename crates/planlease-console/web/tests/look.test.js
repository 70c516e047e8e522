// How it looks, and whether everyone can use it: axe-core in each view, at two widths and in both schemes. The
// pictures go into the folder PICTURES, if it is set.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browser, Fleet, open } from './harness.js';
import { fill, work } from './scene.js';

const axe = await readFile(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

let fleet;
let chrome;

before(async () => {
  [fleet, chrome] = await Promise.all([Fleet.start(), browser()]);
  await fill(fleet);
});

after(async () => {
  await chrome?.close();
  await fleet?.stop();
});

/** What axe-core finds in the page, by the rules of WCAG 2.2 AA and good practice. */
async function findings(page) {
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(' ')}: ${node.failureSummary}`));
  });
}

/** The pictures that the documentation has. */
const PICTURES = ['logs-dark', 'fleet-light', 'fleet-dark', 'fleet-narrow', 'plan-dark', 'graph-light', 'action-dark'];

async function picture(page, name) {
  if (process.env.PICTURES && PICTURES.includes(name)) await page.screenshot({ path: join(process.env.PICTURES, `console-${name}.png`) });
}

/** The views, and what is there when a view is complete. */
const VIEWS = [
  ['fleet', '#/', (page) => page.getByRole('region', { name: 'Needs you' }).waitFor()],
  ['plan', '#/plan/release-1.9/tasks/2.6', (page) => page.getByText('It waits for a person').waitFor()],
  ['graph', '#/plan/release-1.9/graph', (page) => page.locator('svg .node').nth(12).waitFor()],
  ['timeline', '#/plan/billing-migration/timeline', (page) => page.getByText('1.2 batch-05').waitFor()],
  ['logs', '#/plan/release-1.9/logs/2.6', (page) => page.getByRole('log').getByText('schema 12').waitFor()],
  ['why', '#/plan/release-1.9/why', (page) => page.locator('.prose p').first().waitFor()],
];

for (const [scheme, width, height] of [
  ['light', 1280, 800],
  ['dark', 1280, 800],
  ['light', 390, 844],
]) {
  test(`${scheme}, ${width} pixels wide`, async () => {
    const { url, base } = await fleet.console();
    const page = await open(chrome, url, { viewport: { width, height }, colorScheme: scheme, reducedMotion: 'reduce' });
    await work(fleet);
    await page.getByRole('region', { name: 'Changes' }).getByText('was imported').waitFor();
    await page.evaluate(axe);
    const found = [];
    for (const [name, hash, complete] of VIEWS) {
      await page.goto(`${base}/${hash}`);
      await complete(page);
      await page.locator('.progress').first().waitFor();
      await picture(page, width < 640 ? `${name}-narrow` : `${name}-${scheme}`);
      found.push(...(await findings(page)).map((finding) => `${name}: ${finding}`));
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wider > 0) found.push(`${name}: wider than the screen by ${wider}`);
    }
    await page.goto(`${base}/#/plan/release-1.9/tasks/2.6`);
    await page.getByRole('button', { name: 'Retry' }).click();
    await page.getByRole('dialog').getByLabel('Why?').fill('the old store was converted');
    await picture(page, width < 640 ? 'action-narrow' : `action-${scheme}`);
    found.push(...(await findings(page)).map((finding) => `action: ${finding}`));
    assert.deepEqual(found, []);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });
}
