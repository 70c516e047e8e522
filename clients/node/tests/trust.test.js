// For how long a session can be relied on: counted from the sending of requests, by a clock that never stands still.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import test, { afterEach } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Moment, clocks } from "../clock.js";
import { Client, OwnershipLost } from "../index.js";
import { FakeSidecar, beginEvents, document, event } from "./fake.js";

const real = [...clocks];
afterEach(() => void clocks.splice(0, clocks.length, ...real));

/** One clock, which the test moves. */
function stopped() {
  const clock = { now: 1_000 };
  clocks.splice(0, clocks.length, () => clock.now);
  return clock;
}

/** A sidecar that owns the plan `p`, whose answers come late, and which renews when the test says so. */
async function slow(context, delay = 0) {
  const state = { trusted: 60, confirmed: 0, owned: true };
  state.sidecar = await FakeSidecar.start(async (request, response) => {
    await sleep(delay);
    if (request.method === "POST") {
      beginEvents(response);
      response.write(event("session", { session: "s", orchestrator: "me", trusted_for_s: 60 }));
      response.write(event("granted", { token: "1.1", trusted_for_s: 60 }));
      state.say = (name) => response.write(event(name, {}));
      state.renew = () => response.write(event("trusted", { trusted_for_s: 60 }));
    } else if (request.method === "GET") {
      const plans = state.owned ? [{ plan: "p", trusted_for_s: state.trusted }] : [];
      document(response, { trusted_for_s: state.trusted, plans });
      state.confirmed += 1;
    } else {
      document(response, {});
    }
  });
  context.after(() => state.sidecar.stop());
  state.client = new Client({ address: `127.0.0.1:${state.sidecar.port}` });
  return state;
}

async function until(condition) {
  for (const began = performance.now(); !condition(); await sleep(10)) {
    assert.ok(performance.now() - began < 20_000, "not in time");
  }
}

test("trust counts from the sending of the request", async (context) => {
  const { client } = await slow(context, 1_000);
  const plan = await client.own("p");
  assert.ok(plan.trustedFor() <= 59_010 && plan.trustedFor() > 1_000, `${plan.trustedFor()}`);
  await plan.release();
});

test("a drain is reported until it is undone", async (context) => {
  const state = await slow(context);
  const plan = await state.client.own("p");
  assert.equal(plan.draining, false);
  state.say("draining");
  await until(() => plan.draining);
  state.say("undrained");
  await until(() => !plan.draining);
  assert.equal(plan.signal.aborted, false);
  await plan.release();
});

test("an event that waited in the connection extends nothing", async (context) => {
  const clock = stopped();
  const state = await slow(context);
  const plan = await state.client.own("p");
  assert.equal(plan.trustedFor(), 60_000);
  clock.now += 59_000;
  state.trusted = 1; // The sidecar knows of no renewal any more, but its last event arrives now.
  const before = state.confirmed;
  state.renew();
  await until(() => state.confirmed > before);
  assert.ok(plan.trustedFor() <= 1_000);
  await plan.release();
});

test("a renewal extends the trust", async (context) => {
  const clock = stopped();
  const state = await slow(context);
  const plan = await state.client.own("p");
  clock.now += 40_000;
  state.renew();
  await until(() => plan.trustedFor() === 60_000);
  await plan.release();
});

test("the end of the trust ends the ownership", async (context) => {
  const clock = stopped();
  const { client } = await slow(context);
  const plan = await client.own("p");
  const lost = once(plan.signal, "abort");
  clock.now += 60_000; // A suspend, for the clock that counts it.
  assert.equal(plan.trustedFor(), 0);
  await assert.rejects(plan.claim(), OwnershipLost);
  await lost;
  assert.ok(plan.signal.reason instanceof OwnershipLost);
});

test("a plan that the session does not own any more is lost", async (context) => {
  const state = await slow(context);
  const plan = await state.client.own("p");
  state.owned = false;
  const lost = once(plan.signal, "abort");
  state.renew();
  await lost;
  assert.match(plan.signal.reason.message, /does not own/);
});

test("the clock that counted the most decides", () => {
  let [slowly, fast] = [0, 0];
  clocks.splice(0, clocks.length, () => slowly, () => fast);
  const moment = new Moment();
  [slowly, fast] = [1_000, 9_000];
  assert.equal(moment.elapsed(), 9_000);
  [slowly, fast] = [1_000, -9_000];
  assert.equal(moment.elapsed(), 1_000);
});

test("one of the clocks counts while the host is suspended", (context) => {
  if (process.platform !== "linux") return context.skip("only Linux has /proc/uptime");
  const uptime = () => 1_000 * Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  const before = uptime();
  const read = real.map((clock) => clock());
  const after = uptime();
  // Node 18 reads whole seconds.
  return assert.ok(read.some((one) => before - 1_000 <= one && one <= after), `${before} ${read} ${after}`);
});
