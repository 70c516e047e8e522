// What the tests and the measurement of large stores share: a large plan, and a client that changes it.

import { request } from 'node:http';
import { plan } from './harness.js';

/** Leaves a task out. */
export const SKIP = { change: 'skip', reason: 'test' };

/** A plan of ten thousand tasks, in fifty phases. */
export function tenThousand() {
  const phases = {};
  for (let n = 1; n <= 50; n++) {
    const tasks = Array.from({ length: 200 }, (_, i) => ({
      id: `${n}.${i + 1}`,
      text: `Task ${i + 1} of phase ${n}`,
      needs: i % 10 === 9 ? [`${n}.${i}`] : [],
    }));
    phases[n] = { name: `Phase ${n}`, tasks };
  }
  return plan('Ten thousand tasks', phases);
}

/** Asks the interface as the page does, by a connection for each request: none is kept that the server closes. */
export async function client(url) {
  const cookie = (await fetch(url)).headers.get('set-cookie').split(';')[0];
  const { origin } = new URL(url);
  return (method, path, type, body, more = {}) =>
    new Promise((resolve, reject) => {
      const headers = { 'Planlease-Request': 'true', Cookie: cookie, 'Content-Type': type, ...more };
      const asked = request(origin + path, { method, headers, agent: false }, (answer) => {
        let text = '';
        answer.on('data', (data) => (text += data));
        answer.on('end', () => (answer.statusCode < 300 ? resolve() : reject(new Error(`${path}: ${answer.statusCode} ${text}`))));
      });
      asked.on('error', reject);
      asked.end(body);
    });
}

/** Does something for each number, so many at once. */
export async function eachOf(count, atOnce, act) {
  let next = 0;
  const work = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}
