// A fleet as it may be on a working day, for the screenshots: every state is there, and came about as it does in
// earnest, by commands that ran.

import { plan, until } from './harness.js';

const FOREVER = 'sleep 600';

const release = plan(
  'Release 1.9',
  {
    1: {
      name: 'Prepare',
      tasks: [
        { id: '1.1', text: 'Freeze the branch', run: 'sleep 0.4' },
        { id: '1.2', text: 'Update the changelog', needs: ['1.1'], run: 'sleep 0.3' },
        { id: '1.3', text: 'Bump the versions', needs: ['1.1'], run: 'sleep 0.5' },
      ],
    },
    2: {
      name: 'Build and test',
      tasks: [
        { id: '2.1', text: 'Build for Linux, x86-64', needs: ['1.3'], run: 'sleep 0.8' },
        { id: '2.2', text: 'Build for Linux, arm64', needs: ['1.3'], run: 'sleep 1.1' },
        { id: '2.3', text: 'Build for macOS', needs: ['1.3'], run: FOREVER },
        { id: '2.4', text: 'Unit tests', needs: ['2.1'], run: 'sleep 0.6' },
        { id: '2.5', text: 'Integration tests against three members', needs: ['2.1'], run: FOREVER },
        { id: '2.6', text: 'Upgrade test from 1.8', needs: ['2.1'], run: 'echo "1.8 store: schema 12 is not readable" >&2; exit 3' },
      ],
    },
    3: {
      name: 'Publish',
      tasks: [
        { id: '3.1', text: 'Sign the archives', needs: ['2.3', '2.4', '2.5'] },
        { id: '3.2', text: 'Push the images', needs: ['2.2', '2.6'] },
        { id: '3.3', text: 'Publish the crates', needs: ['3.1'] },
        { id: '3.4', text: 'Announce', needs: ['3.1', '3.2', '3.3'] },
      ],
    },
  },
  { max_retries: 0 },
);

const simple = (title, tasks, policy, label) => plan(title, { 1: { name: 'Work', tasks } }, policy, label);
const tasks = (texts, run) => texts.map((text, n) => ({ id: `1.${n + 1}`, text, run, needs: n ? [`1.${n}`] : [] }));

/** Fills a fleet; ends when everything is in its state. */
export async function fill(fleet) {
  await fleet.import('release-1.9', release);
  await fleet.import('docs-site', simple('Documentation site', tasks(['Build pages', 'Check links', 'Deploy'], 'true')));
  await fleet.import('billing-migration', simple('Move billing to the new schema', tasks(['Copy tables', 'Verify sums', 'Switch over', 'Drop the old ones'], FOREVER), { on_lost: 'ask' }));
  await fleet.import('nightly-bench', simple('Nightly benchmarks', tasks(['Warm up', 'Contention', 'Recovery', 'Report'], FOREVER)));
  await fleet.import('api-v3', simple('API v3', tasks(['Schema', 'Handlers', 'Clients', 'Deprecate v2'], FOREVER), {}, 'apps'));
  await fleet.import('mobile-2.4', simple('Mobile 2.4', tasks(['Icons', 'Strings', 'Store listing'], FOREVER), {}, 'apps'));
  await fleet.import('infra-refresh', simple('Refresh the build hosts', tasks(['Drain', 'Reinstall', 'Rejoin'], FOREVER)));
  await fleet.import('cleanup', simple('Remove the old flags', tasks(['Find them', 'Remove them', 'Lint'], 'true')));
  const run = (id, ...plans) => fleet.spawn('run', '--id', id, '--jobs', '4', '--exec', 'true', ...plans);
  run('build-07', 'release-1.9');
  const first = run('batch-02', 'billing-migration');
  const bench = run('bench-01', 'nightly-bench');
  const third = run('build-03', '--all', '--select', 'suite=apps', '--can', 'docker,macos');
  await fleet.command('run', '--id', 'ci-9', 'docs-site', 'cleanup');
  await first.says(/1\.1.*started|started.*1\.1/i);
  await bench.says(/1\.1.*started|started.*1\.1/i);
  await third.says(/1\.1.*started|started.*1\.1/i);
  const second = run('batch-05', 'billing-migration');
  await second.says(/wait/i);
  await first.kill();
  await bench.kill();
  await fleet.command('plan', 'pause', 'infra-refresh', '--reason', 'the rack is being moved until 15:00');
  await until('a decision that is asked for', async () => (await fleet.command('status', 'billing-migration')).includes('was lost'));
  await until('a failure', async () => (await fleet.command('status', 'release-1.9')).includes('1.8 store'));
}

/** A plan from its import to its end: something changes while a page is open. */
export async function work(fleet) {
  await fleet.command('plan', 'delete', 'style-check', '--yes').catch(() => {});
  await fleet.import('style-check', simple('Style check', tasks(['Format', 'Lint', 'Links'], 'true')));
  await fleet.command('run', '--id', 'ci-12', 'style-check');
}
