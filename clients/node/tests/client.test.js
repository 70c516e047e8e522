// Tests of the client on a real sidecar, whose socket PLANLEASE_SIDECAR names, with the plan `work`.

import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { ClaimLost, Client, OwnershipLost, Problem, SessionLost, Unreachable } from "../index.js";

const socket = process.env.PLANLEASE_SIDECAR;
const options = { skip: socket === undefined && "PLANLEASE_SIDECAR names no sidecar" };
const client = socket === undefined ? undefined : new Client({ socket });

/** A session that ends with the test. */
async function ending(context, opening) {
  const session = await opening;
  context.after(() => session.release());
  return session;
}

test("a plan has one owner at a time", options, async (context) => {
  const plan = await ending(context, client.own("work", { name: "node-1" }));
  assert.match(plan.token, /^1\.\d+$/);
  assert.ok(plan.trustedFor() > 1_000);
  await assert.rejects(client.own("work", { wait: 0 }), (error) => error instanceof Problem && error.kind === "held");
  await plan.release();
  assert.ok(plan.signal.aborted && plan.trustedFor() === 0);
  await assert.rejects(plan.claim(), OwnershipLost);
});

test("a loss is reported", options, async (context) => {
  const plan = await ending(context, client.own("work", { name: "node-2" }));
  const lost = once(plan.signal, "abort");
  const [task] = await plan.claim();
  await plan.progress(task, "half");
  const force = JSON.stringify({ expected: "node-2", reason: "a test" });
  await client.ask("POST", "/v1/plans/work/owner/release", force);
  await lost;
  assert.ok(plan.signal.reason instanceof OwnershipLost && task.signal.aborted);
  await assert.rejects(plan.complete(task), OwnershipLost);
});

test("a worker executes tasks of another program's plan", options, async (context) => {
  const plan = await ending(context, client.own("work", { name: "node-owner" }));
  const worker = await ending(context, client.work("work", { name: "node-worker" }));
  assert.equal(worker.name, "node-worker");
  assert.ok(worker.trustedFor() > 1_000);
  const [done, failed, returned, taken] = await worker.claim(4);
  assert.equal((await worker.progress(done, "half")).record.written_as, "worker");
  assert.equal((await worker.complete(done, "done")).record.status, "completed");
  assert.equal((await worker.fail(failed, "why")).record.error, "why");
  await worker.giveBack(returned, "no time");
  await assert.rejects(worker.complete(returned), ClaimLost);
  assert.ok(!taken.signal.aborted);
  const lost = once(taken.signal, "abort");
  await plan.fail(taken, "it takes too long");
  await lost;
  await assert.rejects(worker.progress(taken, "more"), ClaimLost);
  assert.ok(!done.signal.aborted && !failed.signal.aborted && !worker.signal.aborted);
  const [last] = await worker.claim();
  await worker.release();
  assert.ok(worker.signal.aborted && last.signal.aborted);
  await assert.rejects(worker.complete(last), SessionLost);
  await plan.release();
});

test("hostile text reaches subscribers", options, async (context) => {
  const hostile = "a\u2028b\u2029c\u0085d\r\ne\rf\x0bg\x1ch\ufeffi\u{1f680}";
  const events = client.events({ plans: ["work"] });
  await events.next();
  const plan = await ending(context, client.own("work"));
  const [task] = await plan.claim();
  await plan.progress(task, hostile);
  for await (const { data } of events) {
    if (data.changes.some(({ change, progress }) => change === "task" && progress === hostile)) break;
  }
  await plan.giveBack(task, "only a test");
  await plan.release();
});

test("events come in order, and end when they are aborted", options, async (context) => {
  const over = new AbortController();
  const events = client.events({ plans: ["work"], signal: over.signal });
  const snapshot = (await events.next()).value;
  assert.equal(snapshot.name, "snapshot");
  const plan = await ending(context, client.own("work"));
  await plan.giveBack((await plan.claim())[0], "only a test");
  await plan.release();
  const seen = [];
  for await (const { id, data } of events) {
    seen.push(id);
    if (data.changes.some(({ change, status, attempt }) => change === "task" && status === "pending" && attempt > 0)) break;
  }
  assert.deepEqual(seen, [...new Set(seen)].sort((one, other) => one - other));
  assert.ok(seen[0] > snapshot.id);
  over.abort();
});

test("refusals and missing answers differ", options, async () => {
  await assert.rejects(client.status("no-such-plan"), { status: 404, kind: "no-such-plan" });
  await assert.rejects(new Client({ socket: "/nowhere" }).ask("GET", "/livez"), Unreachable);
  await assert.rejects(client.importPlan("another", ""), Problem);
  assert.throws(() => new Client({}), TypeError);
});
