// A real fleet for the tests: the embedded server, orchestrators, a console, a browser. Nothing is simulated.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const PROGRAM = process.env.PLANLEASE ?? new URL('../../../../target/debug/planlease', import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** A folder of built files that are tried in the place of the program's own: no build of the program is needed then. */
const { PAGE } = process.env;

/** How long something may take that is waited for. */
export const SOON = Number(process.env.SOON ?? 60_000);

/** Waits until a condition is so; fails with what was last the case. */
export async function until(what, condition) {
  const end = Date.now() + SOON;
  let last;
  while (Date.now() < end) {
    try {
      const found = await condition();
      if (found) return found;
      last = found;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`not within ${SOON} ms: ${what}; last: ${last}`);
}

/** A process that runs, and what it has said. */
class Running {
  said = '';

  constructor(args, env) {
    this.child = spawn(PROGRAM, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout.on('data', (data) => (this.said += data));
    this.child.stderr.on('data', (data) => (this.said += data));
    this.ended = new Promise((resolve) => this.child.on('exit', resolve));
  }

  /** The first match in what it says. */
  async says(pattern) {
    return until(`${pattern} in ${this.said}`, () => {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.said}`);
      return pattern.exec(this.said);
    });
  }

  async kill(signal = 'SIGKILL') {
    this.child.kill(signal);
    await this.ended;
  }
}

/** A fleet on a server of its own; `stop` ends everything in it. */
export class Fleet {
  running = [];

  static async start() {
    const fleet = new Fleet();
    fleet.folder = await mkdtemp(join(tmpdir(), 'planlease-console-'));
    fleet.env = { PATH: process.env.PATH, HOME: fleet.folder, XDG_CONFIG_HOME: fleet.folder, PLANLEASE_TTL: '10s' };
    const server = fleet.spawn('dev', '--listen', '127.0.0.1:0');
    const [, endpoint] = await server.says(/listening on (http:\/\/[^,\s]+)/);
    fleet.env.PLANLEASE_ENDPOINTS = endpoint;
    return fleet;
  }

  spawn(...args) {
    return this.spawnWith({}, ...args);
  }

  /** A process with these variables besides. */
  spawnWith(env, ...args) {
    const running = new Running(args, { ...this.env, ...env });
    this.running.push(running);
    return running;
  }

  /** The variables of a process on a host of its own: it shares no files with the others. */
  async host(name) {
    const home = join(this.folder, name);
    await mkdir(home, { recursive: true });
    return { HOME: home, XDG_STATE_HOME: join(home, 'state'), XDG_DATA_HOME: join(home, 'data') };
  }

  /** Runs a command to its end. */
  async command(...args) {
    const running = new Running(args, this.env);
    const code = await running.ended;
    if (code !== 0) throw new Error(`planlease ${args.join(' ')}: ${code}: ${running.said}`);
    return running.said;
  }

  async import(name, toml) {
    const file = join(this.folder, `${name}.toml`);
    await writeFile(file, toml);
    await this.command('plan', 'import', file);
  }

  /** A console; the URL lets one browser in. */
  async console(...args) {
    const running = this.spawn('console', '--no-open', ...args);
    const [url] = await running.says(/http:\/\/127\.0\.0\.1:\d+\/enter\?code=\w+/);
    return { running, url, base: new URL(url).origin };
  }

  async stop() {
    for (const running of this.running.reverse()) {
      if (running.child.exitCode === null && running.child.signalCode === null) await running.kill();
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

export function browser() {
  const args = ['--no-sandbox', '--disable-quic', '--disable-background-networking'];
  return chromium.launch({ executablePath: CHROMIUM, args });
}

const FILES = { 'app.js': 'text/javascript', 'layout.js': 'text/javascript', 'app.css': 'text/css' };

/** A page that is signed in; whatever the browser complains about is an error of the test. */
export async function open(chrome, url, options = {}) {
  const context = await chrome.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(SOON);
  page.complaints = [];
  page.requests = [];
  page.on('pageerror', (error) => page.complaints.push(`error: ${error.message}`));
  page.on('console', (message) => {
    const expected = /Failed to load resource/.test(message.text());
    if (message.type() === 'error' && !expected) page.complaints.push(message.text());
  });
  page.on('request', (request) => page.requests.push(request.url()));
  for (const [name, contentType] of PAGE ? Object.entries(FILES) : []) {
    await page.route(`**/${name}`, async (route) => {
      const { headers } = await fetch(new URL(name, url));
      const body = await readFile(join(PAGE, name));
      await route.fulfill({ contentType, body, headers: { 'content-security-policy': headers.get('content-security-policy') } });
    });
  }
  await page.goto(url);
  await page.getByText('Live', { exact: true }).waitFor();
  return page;
}

/** A plan of tasks that a shell does. `needs`: what they wait for; `can`: what an orchestrator has to be able to do. */
export function plan(title, phases, policy = { max_retries: 0 }, label = null) {
  const lines = [`title = ${JSON.stringify(title)}`];
  if (label) lines.push(`labels = { suite = ${JSON.stringify(label)} }`);
  lines.push('[policy]');
  for (const [name, value] of Object.entries(policy)) lines.push(`${name} = ${JSON.stringify(value)}`);
  for (const [number, { name, tasks }] of Object.entries(phases)) {
    lines.push('[[phase]]', `number = ${JSON.stringify(number)}`, `name = ${JSON.stringify(name)}`);
    for (const { id, text, needs = [], run, can, approval } of tasks) {
      lines.push('[[task]]', `id = ${JSON.stringify(id)}`, `phase = ${JSON.stringify(number)}`);
      lines.push(`description = ${JSON.stringify(text)}`, `depends_on = ${JSON.stringify(needs)}`);
      if (can) lines.push(`needs = ${JSON.stringify(can)}`);
      if (approval) lines.push(`approval = ${JSON.stringify(approval)}`);
      if (run) lines.push(`command = ${JSON.stringify(['sh', '-c', run])}`);
    }
  }
  return lines.join('\n');
}
