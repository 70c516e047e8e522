// What is kept out, and what texts of others cannot do.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browser, Fleet, open, plan } from './harness.js';

let fleet;
let chrome;

before(async () => {
  [fleet, chrome] = await Promise.all([Fleet.start(), browser()]);
});

after(async () => {
  await chrome?.close();
  await fleet?.stop();
});

const OWN = { 'Planlease-Request': 'true' };

/** Signs in without a browser; returns the cookie. */
async function enter(url) {
  const response = await fetch(url);
  assert.equal(response.status, 200);
  const cookie = response.headers.get('set-cookie');
  assert.match(cookie, /; HttpOnly; SameSite=Strict; Max-Age=\d+$/);
  return cookie.split(';')[0];
}

test('nothing is shown without the cookie', async () => {
  const { url, base } = await fleet.console();
  for (const path of ['/', '/v1/plans', '/v1/events', '/openapi.json', '/readyz', '/v1/nothing']) {
    const response = await fetch(base + path, { headers: { ...OWN, Accept: '*/*', Cookie: 'planlease_console_1=0' } });
    assert.equal(response.status, 401, path);
  }
  const cookie = await enter(url);
  assert.equal((await fetch(`${base}/v1/plans`, { headers: { ...OWN, Cookie: cookie } })).status, 200);
  assert.equal((await fetch(url)).status, 401, 'the URL is good once');
  await fetch(`${base}/leave`, { method: 'POST', headers: { Cookie: cookie } });
  assert.equal((await fetch(`${base}/v1/plans`, { headers: { ...OWN, Cookie: cookie } })).status, 401);
});

test('other sites are refused', async () => {
  const { url, base } = await fleet.console();
  const cookie = await enter(url);
  const status = async (headers, method = 'GET') =>
    (await fetch(`${base}/v1/plans`, { method, headers: { Cookie: cookie, ...headers } })).status;
  assert.equal(await status({ ...OWN }), 200);
  assert.equal(await status({ ...OWN, Origin: base }), 200);
  assert.equal(await status({ ...OWN, Origin: 'http://elsewhere.example' }), 403);
  assert.equal(await status({ ...OWN, Origin: 'null' }), 403);
  assert.equal(await status({ ...OWN, Origin: base.replace(/\d+$/, '1') }), 403);
  assert.equal(await status({}), 403, 'the header of its own is missing');
});

test('a page of another site reads nothing and sends no cookie', async () => {
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  const elsewhere = await page.context().newPage();
  await elsewhere.route('http://elsewhere.example/', (route) => route.fulfill({ contentType: 'text/html', body: 'hello' }));
  await elsewhere.goto('http://elsewhere.example/');
  const tried = await elsewhere.evaluate(
    async (target) => {
      const attempts = [
        fetch(`${target}/v1/plans`, { credentials: 'include' }),
        fetch(`${target}/v1/plans`, { credentials: 'include', headers: { 'Planlease-Request': 'true' } }),
        fetch(`${target}/v1/plans/x/pause`, { method: 'POST', credentials: 'include', body: '{}' }),
      ];
      return (await Promise.allSettled(attempts)).map((attempt) => attempt.status);
    },
    base,
  );
  assert.deepEqual(tried, ['rejected', 'rejected', 'rejected']);
  await page.context().close();
});

test('every answer has a strict policy', async () => {
  const { url, base } = await fleet.console();
  for (const path of ['/', '/app.js', '/v1/plans', '/enter?code=0', '/nothing']) {
    const policy = (await fetch(base + path)).headers.get('content-security-policy');
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/, path);
    assert.match(policy, /frame-ancestors 'none'; require-trusted-types-for 'script'/, path);
    assert.doesNotMatch(policy, /unsafe/, path);
  }
  const page = await open(chrome, url);
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.head.append(script);
  }).catch(() => {});
  const markup = await page.evaluate(() => {
    try {
      document.body.insertAdjacentHTML('beforeend', '<img src=x>');
      return 'taken';
    } catch {
      return 'refused';
    }
  });
  assert.equal(markup, 'refused', 'trusted types are required');
  assert.equal(await page.evaluate(() => window.ran), undefined);
  await page.context().close();
});

test('hostile texts are texts', async () => {
  const script = '<script>window.ran = true</script><img src=x onerror="window.ran = true">';
  const bidi = '\u202Egnihton\u2066';
  const tasks = [
    { id: '1', text: script },
    { id: '2', text: `${bidi} turned` },
    { id: '3', text: 'x'.repeat(16_000) },
    { id: '4', text: `fails: ${script}`, run: `echo '${script} ${bidi}' >&2; printf '\\033]0;title\\007\\033[2J%016000d\\n' 0; exit 1` },
  ];
  await fleet.import('hostile', plan(`${script} ${bidi}`, { 1: { name: script, tasks } }));
  const runner = fleet.spawn('run', '--id', 'runner', 'hostile', '--exec', 'false');
  await runner.ended;
  await fleet.command('plan', 'pause', 'hostile', '--reason', script);
  const { url, base } = await fleet.console();
  const page = await open(chrome, url);
  await page.getByText(script).first().waitFor();
  for (const [tab, task] of [['tasks', '1'], ['graph', '2'], ['timeline', '3'], ['why', '4']]) {
    await page.goto(`${base}/#/plan/hostile/${tab}/${task}`);
    await page.getByRole('heading', { name: `Task ${task}` }).waitFor();
  }
  assert.equal(await page.evaluate(() => window.ran), undefined);
  assert.equal(await page.locator('#app script, #app img[src="x"]').count(), 0);
  const width = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(width <= 0, `a long text makes the page wider by ${width}`);
  await page.goto(`${base}/#/plan/hostile/logs/4`);
  await page.getByRole('log').getByText(script).waitFor();
  assert.equal(await page.locator('#app script, #app img[src="x"]').count(), 0);
  assert.equal(await page.evaluate(() => window.ran), undefined);
  await page.goto(`${base}/#/plan/${encodeURIComponent('<img src=x onerror=alert(1)>')}/tasks`);
  await page.getByText('There is no plan').waitFor();
  const foreign = page.requests.filter((request) => !request.startsWith(base));
  assert.deepEqual(foreign, [], 'no request leaves the console');
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a read-only console offers nothing and changes nothing', async () => {
  await fleet.import('looked-at', plan('Looked at', { 1: { name: 'Work', tasks: [{ id: '1', text: 'work' }] } }));
  const { url, base } = await fleet.console('--read-only');
  const page = await open(chrome, url);
  await page.goto(`${base}/#/plan/looked-at/tasks/1`);
  await page.getByRole('region', { name: 'Task 1', exact: true }).getByText('pending').first().waitFor();
  assert.equal(await page.getByRole('button', { name: /Pause|Skip|Cancel/ }).count(), 0);
  const answer = await page.evaluate(async () => {
    const headers = { 'Planlease-Request': 'true', 'Content-Type': 'application/json' };
    const response = await fetch('/v1/plans/looked-at/pause', { method: 'POST', headers, body: '{}' });
    return { status: response.status, problem: await response.json() };
  });
  assert.equal(answer.status, 403);
  assert.match(answer.problem.detail, /read-only/);
  await page.context().close();
});
