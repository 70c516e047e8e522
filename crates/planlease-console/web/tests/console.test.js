// What a person sees and does, in a real browser against a real fleet.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browser, Fleet, open, plan, until } from './harness.js';

const FOREVER = 'sleep 600';

/** A plan of one phase. */
const work = (title, tasks, ...more) => plan(title, { 1: { name: 'Work', tasks } }, ...more);
/** What an orchestrator that takes plans by themselves is started with, to take those with this label. */
const all = (label, id, ...flags) => ['run', '--all', '--select', `suite=${label}`, '--id', id, ...flags];

let fleet;
let chrome;

before(async () => {
  [fleet, chrome] = await Promise.all([Fleet.start(), browser()]);
});

after(async () => {
  await chrome?.close();
  await fleet?.stop();
});

const row = (page, name) => page.getByRole('row').filter({ hasText: name });

/** Does something by its button, in a dialog that asks for the reason; `choose` may choose more. */
async function act(page, button, reason, choose = async () => {}) {
  await button.click();
  const dialog = page.getByRole('dialog');
  await choose(dialog);
  await dialog.getByLabel('Why?').fill(reason);
  const line = await dialog.locator('code').innerText();
  await dialog.locator('button[type=submit]').click();
  await dialog.waitFor({ state: 'detached' });
  return line;
}

test('a takeover is watched in the page', async () => {
  await fleet.import('takeover', plan('Takeover', { 1: { name: 'Work', tasks: [{ id: '1', text: 'work', run: FOREVER }] } }));
  const first = fleet.spawn('run', '--id', 'first', 'takeover');
  const { url } = await fleet.console();
  const page = await open(chrome, url);
  await row(page, 'takeover').getByText('first').waitFor();
  await row(page, 'takeover').getByText('1.1').waitFor();
  const second = fleet.spawn('run', '--id', 'second', 'takeover');
  await row(page, 'takeover').getByText('1 waiting').waitFor();
  await first.kill();
  await row(page, 'takeover').getByText('second').waitFor();
  await row(page, 'takeover').getByText('1.2').waitFor();
  await page.getByRole('region', { name: 'Changes' }).getByText('owned by second').waitFor();
  await row(page, 'takeover').getByRole('link').click();
  await page.getByRole('link', { name: 'Timeline' }).click();
  await page.getByText('1.1 first').waitFor();
  await page.getByText('1.2 second').waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
  await second.kill();
});

test('a failed task is put back with the mouse alone', async () => {
  const tasks = [
    { id: '1', text: 'fails', run: 'echo no luck >&2; exit 3' },
    { id: '2', text: 'waits', needs: ['1'], run: 'true' },
  ];
  await fleet.import('stuck', plan('Stuck', { 1: { name: 'Work', tasks } }));
  await fleet.spawn('run', '--id', 'runner', 'stuck').ended;
  const { url } = await fleet.console();
  const page = await open(chrome, url);
  await page.getByRole('region', { name: 'Needs you' }).getByRole('link', { name: 'stuck / 1' }).click();
  const panel = page.getByRole('region', { name: 'Task 1', exact: true });
  await panel.getByText('no luck').first().waitFor();
  await panel.getByRole('button', { name: 'Retry' }).click();
  const dialog = page.getByRole('dialog');
  assert.ok(await dialog.getByRole('button', { name: 'Retry' }).isDisabled(), 'not without a reason');
  await dialog.getByLabel('Why?').fill("the mirror's back");
  const line = await dialog.locator('code').innerText();
  const { revision } = JSON.parse(await fleet.command('task', 'show', 'stuck', '1', '-o', 'json'));
  assert.equal(line, `planlease task retry stuck 1 --reason 'the mirror'\\''s back' --expect-revision ${revision}`);
  await dialog.getByRole('button', { name: 'Retry' }).click();
  await dialog.waitFor({ state: 'detached' });
  await panel.getByText('pending').first().waitFor();
  const task = JSON.parse(await fleet.command('task', 'show', 'stuck', '1', '-o', 'json'));
  assert.equal(task.status, 'pending');
  assert.match(task.written_by, /console/);
  assert.equal(task.transitions.at(-1).why, "the mirror's back");
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('an action on an old record is refused, and says why', async () => {
  await fleet.import('raced', plan('Raced', { 1: { name: 'Work', tasks: [{ id: '1', text: 'raced' }] } }));
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  await page.goto(`${base}/#/plan/raced/tasks/1`);
  await page.getByRole('button', { name: 'Skip' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Why?').fill('too late');
  // The record changes while the person types: the dialog stands for the one that they have seen.
  await fleet.command('task', 'skip', 'raced', '1', '--reason', 'first');
  await page.getByRole('region', { name: 'Task 1', exact: true }).getByText('skipped').first().waitFor();
  await dialog.getByRole('button', { name: 'Skip' }).click();
  await dialog.getByRole('alert').getByText('the record was changed since').waitFor();
  const task = JSON.parse(await fleet.command('task', 'show', 'raced', '1', '-o', 'json'));
  assert.equal(task.skip_reason, 'first');
  await page.context().close();
});

test('a plan is paused, and goes on', async () => {
  await fleet.import('halting', plan('Halting', { 1: { name: 'Work', tasks: [{ id: '1', text: 'work' }] } }));
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  await page.goto(`${base}/#/plan/halting`);
  await act(page, page.getByRole('button', { name: 'Pause', exact: true }), 'lunch');
  await page.getByText('lunch').waitFor();
  assert.match(await fleet.command('status', 'halting'), /lunch/);
  await act(page, page.getByRole('button', { name: 'Resume', exact: true }), 'back');
  await page.getByText('lunch').waitFor({ state: 'detached' });
  await page.context().close();
});

test('the page says when it is old, and comes back by itself', async () => {
  await fleet.import('before-the-break', plan('Before', { 1: { name: 'Work', tasks: [{ id: '1', text: 'work' }] } }));
  const socket = `${fleet.folder}/sidecar.sock`;
  const start = async (address) => {
    const running = fleet.spawn('sidecar', '--socket', socket, '--console', address, '--console-writes');
    const [url] = await running.says(/http:\/\/127\.0\.0\.1:\d+\/enter\?code=\w+/);
    return { running, url };
  };
  const first = await start('127.0.0.1:0');
  const page = await open(chrome, first.url);
  await row(page, 'before-the-break').waitFor();
  await first.running.kill();
  await page.getByRole('alert').getByText('The connection is broken').waitFor();
  assert.ok(await page.locator('main.old').isVisible(), 'it is grey');
  const second = await start(new URL(first.url).host);
  await page.getByRole('alert').getByText('not signed in any more').waitFor();
  await page.goto(second.url);
  await page.getByText('Live', { exact: true }).waitFor();
  assert.ok(!(await page.locator('main.old').count()), 'it is not grey');
  await page.context().close();
  await second.running.kill();
});

test('the keyboard is enough', async () => {
  await fleet.import('keys-a', plan('Keys A', { 1: { name: 'Work', tasks: [{ id: '1', text: 'one' }] } }));
  await fleet.import('keys-b', plan('Keys B', { 1: { name: 'Work', tasks: [{ id: '1', text: 'one' }, { id: '2', text: 'two' }] } }));
  const { url } = await fleet.console();
  const page = await open(chrome, url);
  const { keyboard } = page;
  await keyboard.press('/');
  await keyboard.type('keys-');
  await until('two plans', async () => (await page.getByRole('row').count()) === 3);
  await keyboard.press('Escape');
  for (const key of ['j', 'j', 'k', 'j', 'Enter']) await keyboard.press(key);
  await page.getByRole('heading', { name: 'keys-b' }).waitFor();
  await row(page, 'two').waitFor();
  for (const key of ['j', 'j', 'g', 'G', 'k', 'j']) await keyboard.press(key);
  await page.getByRole('heading', { name: 'Task 2' }).waitFor();
  await keyboard.press('Escape');
  await page.getByRole('heading', { name: 'Task 2' }).waitFor({ state: 'detached' });
  await keyboard.press('?');
  await page.getByRole('dialog', { name: 'Help' }).waitFor();
  await keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await keyboard.press('Escape');
  await page.getByRole('region', { name: 'Plans' }).waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('the state of a plan stands in one word, and follows it', async () => {
  const tasks = [
    { id: '0', text: 'first', run: 'true' },
    { id: '1', text: 'fails', run: 'exit 3', needs: ['0'] },
    { id: '2', text: 'other', run: FOREVER, needs: ['0'] },
  ];
  await fleet.import('worded', work('Worded', tasks));
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  const state = (word) => row(page, 'worded').getByText(word, { exact: true }).waitFor();
  await state('waiting');
  const runner = fleet.spawn('run', '--id', 'worder', '--jobs', '2', 'worded');
  await state('needs decision');
  await row(page, 'worded').getByText('1 for you').waitFor();
  await fleet.command('plan', 'pause', 'worded', '--reason', 'lunch');
  await state('paused');
  await fleet.command('plan', 'resume', 'worded');
  await state('needs decision');
  await fleet.command('task', 'skip', 'worded', '1', '--reason', 'not now');
  await state('running');
  await runner.kill();
  await state('stuck');
  await page.getByRole('region', { name: 'Needs you' }).getByText('worder had it and is gone').waitFor();
  await page.goto(`${base}/#/plan/worded`);
  await page.getByRole('region', { name: 'Plan', exact: true }).getByText('stuck', { exact: true }).waitFor();
  await fleet.command('task', 'retry', 'worded', '2', '--reason', 'again');
  await fleet.command('task', 'skip', 'worded', '2', '--reason', 'not now');
  await page.getByRole('region', { name: 'Plan', exact: true }).getByText('done', { exact: true }).first().waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('logs are followed, attempt by attempt', async () => {
  const run = `echo "attempt $PLANLEASE_ATTEMPT: \\033[31mred\\033[0m"; until [ -e ${fleet.folder}/go-$PLANLEASE_ATTEMPT ]; do sleep 0.05; done; echo last; [ $PLANLEASE_ATTEMPT = 2 ]`;
  await fleet.import('logged', work('Logged', [{ id: '1', text: 'writes', run }], { max_retries: 1, retry_delay_s: 1 }));
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  await page.goto(`${base}/#/plan/logged/tasks/1`);
  await page.getByRole('heading', { name: 'Task 1' }).waitFor();
  await page.keyboard.press('l');
  const output = page.getByRole('log');
  const pane = page.getByRole('region', { name: 'Logs of task 1' });
  await pane.getByText('waiting for the next attempt').waitFor();
  const runner = fleet.spawn('run', '--id', 'writer', 'logged');
  await output.getByText('attempt 1: red').waitFor();
  await pane.getByText("from the files of the sidecar's host").waitFor();
  await writeFile(join(fleet.folder, 'go-1'), '');
  await output.getByText('attempt 1 exited with code 1').waitFor();
  await output.getByText('attempt 2 by writer').waitFor();
  await output.getByText('attempt 2: red').waitFor();
  await writeFile(join(fleet.folder, 'go-2'), '');
  await output.getByText('attempt 2 exited with code 0').waitFor();
  await pane.getByText('nothing more comes').waitFor();
  await pane.getByLabel('Attempt').selectOption('attempt 1');
  await output.getByText('attempt 2: red').waitFor({ state: 'detached' });
  await output.getByText('attempt 1: red').waitFor();
  assert.ok(!(await output.innerText()).includes('attempt 2'), 'the chosen attempt alone');
  assert.deepEqual(page.complaints, []);
  await page.context().close();
  await runner.ended;
});

test('output is bounded in the page, however much there is', async () => {
  const run = 'i=0; while [ $i -lt 200 ]; do i=$((i+1)); seq -f "line %.0f of block $i" 1 100; done; echo the end';
  await fleet.import('much', work('Much', [{ id: '1', text: 'writes much', run }]));
  const runner = fleet.spawn('run', '--id', 'much', 'much');
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  await page.goto(`${base}/#/plan/much/logs/1`);
  const output = page.getByRole('log');
  await output.getByText('the end', { exact: false }).waitFor();
  await page.getByText('the last 5,000 lines are kept here').waitFor();
  const { lines, elements } = await output.evaluate((log) => ({
    lines: log.textContent.split('\n').length,
    elements: log.querySelectorAll('*').length,
  }));
  assert.ok(lines > 4_000 && lines <= 5_300, `${lines} lines`);
  assert.ok(elements <= 60, `${elements} elements`);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
  await runner.ended;
});

test('a dead host is said, and what is shown then', async () => {
  const away = await fleet.host('away');
  await fleet.import('remote', work('Remote', [{ id: '1', text: 'ends', run: 'echo from far away' }, { id: '2', text: 'runs', run: FOREVER, needs: ['1'] }]));
  const runner = fleet.spawnWith(away, 'run', '--id', 'far', '--logs', '127.0.0.1:0', 'remote');
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  await page.goto(`${base}/#/plan/remote/logs/1`);
  await page.getByRole('log').getByText('from far away').waitFor();
  await page.getByText("from the orchestrator's host").waitFor();
  await until('the second task runs', async () => (await fleet.command('status', 'remote')).includes('2'));
  await runner.kill();
  await page.goto(`${base}/#/plan/remote/tasks`);
  await page.goto(`${base}/#/plan/remote/logs/1`);
  await page.getByRole('alert').getByText('no host that may have it answers').waitFor();
  await page.getByRole('log').getByText('from far away').waitFor();
  await page.getByText('from etcd, which keeps the beginning and the end').waitFor();
  await page.goto(`${base}/#/plan/remote/logs/2`);
  await page.getByRole('alert').getByText('far serves no logs, or is gone').waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a running attempt is cancelled, and its task skipped', async () => {
  await fleet.import('wrong', work('Wrong', [{ id: '1', text: 'runs', run: FOREVER }]));
  const runner = fleet.spawn('run', '--id', 'mistaken', 'wrong');
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  await page.goto(`${base}/#/plan/wrong/tasks/1`);
  const panel = page.getByRole('region', { name: 'Task 1', exact: true });
  await panel.getByText('running').first().waitFor();
  const choose = (dialog) => dialog.getByLabel('Then the task is').selectOption('skipped');
  const line = await act(page, panel.getByRole('button', { name: 'Cancel' }), 'wrong branch', choose);
  assert.match(line, /^planlease task cancel wrong 1 --reason 'wrong branch' --then skip --expect-revision \d+$/);
  const shown = async () => JSON.parse(await fleet.command('task', 'show', 'wrong', '1', '-o', 'json'));
  await until('the task is skipped', async () => (await shown()).status === 'skipped');
  await panel.getByText('skipped').first().waitFor();
  const task = await shown();
  assert.match(task.transitions.at(-1).why, /wrong branch/);
  await runner.ended;
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a result is rejected and approved, and a start as well', async () => {
  const tasks = [
    { id: '1', text: 'is looked at', run: 'true', approval: 'after' },
    { id: '2', text: 'waits to start', run: 'true', approval: 'before' },
  ];
  await fleet.import('judged', work('Judged', tasks, { max_retries: 0 }, 'judged'));
  // One that stays: a run of the plan alone ends while it waits for a person.
  const runner = fleet.spawn(...all('judged', 'judge'));
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  const needed = page.getByRole('region', { name: 'Needs you' }).getByRole('listitem').filter({ hasText: 'judged / 1' });
  await needed.getByText('Needs approval').waitFor();
  await page.goto(`${base}/#/plan/judged/tasks/1`);
  const first = page.getByRole('region', { name: 'Task 1', exact: true });
  await first.getByText('Waits for approval').first().waitFor();
  let line = await act(page, first.getByRole('button', { name: 'Reject' }), 'once more');
  assert.match(line, /^planlease reject judged 1 --attempt 1 --reason 'once more'$/);
  await first.getByText(/attempt 2 was completed/).first().waitFor();
  line = await act(page, first.getByRole('button', { name: 'Approve' }), 'well done');
  assert.match(line, /^planlease approve judged 1 --attempt 2 --reason 'well done'$/);
  await first.getByText('completed').first().waitFor();
  await page.goto(`${base}/#/plan/judged/tasks/2`);
  const second = page.getByRole('region', { name: 'Task 2', exact: true });
  await act(page, second.getByRole('button', { name: 'Approve' }), 'go');
  await second.getByText('completed').first().waitFor();
  await runner.kill('SIGTERM');
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a plan is moved, and its orchestrator cordoned and drained', async () => {
  await fleet.import('moved', work('Moved', [{ id: '1', text: 'runs', run: FOREVER }], {}, 'moved'));
  const old = fleet.spawn(...all('moved', 'old-host', '--can', 'docker', '--jobs', '4'));
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  const orchestrators = page.getByRole('region', { name: 'Orchestrators' });
  const item = (name) => orchestrators.getByRole('listitem').filter({ hasText: name });
  await item('old-host').getByText('1/4 jobs').waitFor();
  await item('old-host').getByText('docker').waitFor();
  const young = fleet.spawn(...all('moved', 'new-host', '--can', 'docker', '--jobs', '4'));
  await item('new-host').getByText('0/4 jobs').waitFor();
  await page.goto(`${base}/#/plan/moved`);
  const head = page.getByRole('region', { name: 'Plan', exact: true });
  const line = await act(page, head.getByRole('button', { name: 'Move' }), 'disk is failing', async (dialog) => {
    await dialog.getByLabel(/^To/).selectOption({ value: 'new-host' });
    await dialog.getByLabel('Running tasks').selectOption('10 seconds');
  });
  assert.equal(line, "planlease owner move moved --to new-host --expect old-host --deadline 10s --reason 'disk is failing'");
  await head.getByText('to be moved to').waitFor();
  await head.locator('dl').getByText('new-host', { exact: true }).waitFor();
  await head.getByText('1.2', { exact: true }).waitFor();
  await page.goto(`${base}/#/`);
  const cordon = await act(page, item('new-host').getByRole('button', { name: 'Cordon' }), 'kernel update');
  assert.equal(cordon, "planlease orchestrator cordon new-host --reason 'kernel update'");
  await item('new-host').getByText('cordoned').waitFor();
  await item('new-host').getByText('kernel update').waitFor();
  const listed = JSON.parse(await fleet.command('orchestrator', 'list', '-o', 'json'));
  assert.equal(listed.orchestrators.find((one) => one.orchestrator === 'new-host').state, 'cordoned');
  const fast = (dialog) => dialog.getByLabel('Running tasks').selectOption('10 seconds');
  await act(page, item('new-host').getByRole('button', { name: 'Drain' }), 'now', fast);
  await item('new-host').getByText('owns nothing').waitFor();
  await act(page, item('new-host').getByRole('button', { name: 'Uncordon' }), 'done');
  await item('new-host').getByText('kernel update').waitFor({ state: 'detached' });
  await item('new-host').getByRole('button', { name: 'Drain' }).waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
  await Promise.all([old.kill(), young.kill()]);
});

test('the fleet is paused by a key, and goes on', async () => {
  const { url } = await fleet.console();
  const page = await open(chrome, url);
  await page.getByRole('button', { name: 'Pause the fleet' }).waitFor();
  await page.keyboard.press('P');
  const dialog = page.getByRole('dialog', { name: 'Pause the fleet' });
  await page.keyboard.type('the registry is down');
  assert.equal(await dialog.locator('code').innerText(), "planlease fleet pause --reason 'the registry is down'");
  await page.keyboard.press('Enter');
  const banner = page.getByRole('status').filter({ hasText: 'The fleet is paused' });
  await banner.getByText('the registry is down').waitFor();
  assert.match(await fleet.command('fleet', 'status'), /the registry is down/);
  await act(page, banner.getByRole('button', { name: 'Resume the fleet' }), 'it is back');
  await banner.waitFor({ state: 'detached' });
  assert.match(await fleet.command('fleet', 'status', '-o', 'json'), /"now": "running"/);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('tasks that no orchestrator runs need a person', async () => {
  await fleet.import('training', work('Training', [{ id: '1', text: 'train', run: FOREVER, can: ['gpu'] }], {}, 'gpu'));
  const runner = fleet.spawn(...all('gpu', 'cpu-only'));
  const { url } = await fleet.console();
  const page = await open(chrome, url);
  const needed = page.getByRole('region', { name: 'Needs you' }).getByRole('listitem').filter({ hasText: 'training / 1' });
  await needed.getByText('no orchestrator runs it: it needs gpu').waitFor();
  await runner.kill();
  await page.context().close();
});
