#!/usr/bin/env node
// Executes a plan: owns it, claims what is ready, runs each task's command, says how it went.
//
//   node orchestrator.js SOCKET PLAN [JOBS]
//
// Start it twice: the second one waits in line, and goes on where the first one stopped, however that one ended.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "../index.js";

const [socket, name, jobs = 2] = process.argv.slice(2);
const client = new Client({ socket });
const plan = await client.own(name);
console.log(`owns ${name}, token ${plan.token}`);

/** Runs the command of one task; `plan.signal` ends it if the plan is lost. */
async function run(task) {
  const [program, ...args] = task.command ?? ["true"];
  const child = spawn(program, args, { signal: plan.signal, killSignal: "SIGKILL", stdio: ["ignore", "inherit", "pipe"] });
  let said = "";
  child.stderr.on("data", (text) => (said += text));
  const [status] = await once(child, "close");
  if (status === 0) await plan.complete(task);
  else await plan.fail(task, `status ${status}: ${said.slice(-500)}`);
  console.log(`${task.task} ended with ${status}`);
}

const running = new Set();
for (;;) {
  const status = await client.status(name);
  if (status.finished) break;
  const tasks = running.size < Number(jobs) ? await plan.claim(jobs - running.size) : [];
  for (const task of tasks) {
    const one = run(task).finally(() => running.delete(one));
    running.add(one);
  }
  if (running.size > 0) {
    await Promise.race(running);
  } else if (status.summary.failed > 0) {
    process.exitCode = 1;
    break;
  } else {
    await sleep(500); // Another process works on a task.
  }
}
await plan.release();
console.log(process.exitCode ? `${name} has failed tasks` : `${name} is finished`);
