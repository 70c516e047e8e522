// What a program in Node does with etcd, by the client `etcd3`, and by gRPC for what that does not bring.
//
//   node etcd3_client.mjs HOST:PORT PREFIX
//
// It ends with 0 if the server does what etcd does. With ETCD_USER and ETCD_PASSWORD it works as that user.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

// The packages lie where the test has installed them.
const require = createRequire(`${process.env.PACKAGES ?? process.cwd()}/`);
const { Etcd3, EtcdLockFailedError } = require("etcd3");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [address, prefix] = process.argv.slice(2);
const { ETCD_USER: username, ETCD_PASSWORD: password } = process.env;
const user = username === undefined ? {} : { auth: { username, password } };
const clients = [];
const connect = (options = {}) => {
  const client = new Etcd3({ hosts: `http://${address}`, ...user, ...options });
  clients.push(client);
  return client;
};
const client = connect();

async function until(what, condition) {
  for (const began = performance.now(); !(await condition()); await sleep(50)) {
    assert.ok(performance.now() - began < 20_000, what);
  }
}

/** The next event of that name. */
function next(emitter, name) {
  return new Promise((resolve, reject) => {
    emitter.once(name, (...values) => resolve(values));
    if (name !== "error") emitter.once("error", reject);
  });
}

async function keysAndRanges() {
  const key = `${prefix}keys/`;
  await client.put(`${key}a`).value("1");
  await client.put(`${key}b`).value(Buffer.from([0, 255]));
  assert.equal(await client.get(`${key}a`).string(), "1");
  assert.deepEqual(await client.get(`${key}b`).buffer(), Buffer.from([0, 255]));
  assert.equal(await client.get(`${key}none`).string(), null);
  const before = await client.put(`${key}a`).value("2").getPrevious();
  assert.equal(before.value.toString(), "1");
  assert.deepEqual(await client.getAll().prefix(key).keys(), [`${key}a`, `${key}b`]);
  assert.deepEqual(await client.getAll().prefix(key).sort("Key", "Descend").limit(1).keys(), [`${key}b`]);
  assert.equal(await client.getAll().prefix(key).count(), 2);
  assert.equal((await client.delete().key(`${key}a`)).deleted, "1");
  assert.equal((await client.delete().prefix(key)).deleted, "1");
}

async function transactions() {
  const key = `${prefix}txn`;
  const write = (value) => client.if(key, "Create", "==", 0).then(client.put(key).value(value)).else(client.get(key)).commit();
  assert.equal((await write("1")).succeeded, true);
  const refused = await write("2");
  assert.equal(refused.succeeded, false);
  assert.equal(refused.responses[0].response_range.kvs[0].value.toString(), "1");
  const stm = await client.stm().transact(async (tx) => {
    await tx.put(key).value(`${await tx.get(key).string()}+`);
    return "done";
  });
  assert.deepEqual([stm, await client.get(key).string()], ["done", "1+"]);
}

async function watches() {
  const key = `${prefix}watch/`;
  const { revision } = (await client.put(`${key}a`).value("0")).header;
  const watcher = await client.watch().prefix(key).startRevision(revision).withPreviousKV().create();
  const seen = [];
  watcher.on("put", (kv, before) => seen.push(["put", kv.value.toString(), before?.value.toString()]));
  watcher.on("delete", (kv, before) => seen.push(["delete", "", before?.value.toString()]));
  await client.put(`${key}a`).value("1");
  await client.delete().key(`${key}a`);
  await until("three events", () => seen.length === 3);
  assert.deepEqual(seen, [["put", "0", undefined], ["put", "1", "0"], ["delete", "", "1"]]);
  await watcher.cancel();
}

async function leases() {
  const key = `${prefix}lease`;
  const lease = client.lease(60, { autoKeepAlive: false });
  await lease.put(key).value("1");
  assert.equal((await client.get(key).exec()).kvs[0].lease, await lease.grant());
  const { ID, TTL } = await lease.keepaliveOnce();
  assert.deepEqual([ID, TTL], [await lease.grant(), "60"]);
  await lease.revoke();
  assert.equal(await client.get(key).string(), null);
  const short = client.lease(1, { autoKeepAlive: false });
  await short.put(key).value("2");
  await until("a lease expires", async () => (await client.get(key).string()) === null);
  const kept = client.lease(2);
  await kept.put(key).value("3");
  await next(kept, "keepaliveSucceeded");
  assert.equal(await client.get(key).string(), "3");
  await kept.revoke();
}

async function locks() {
  const first = await client.lock(`${prefix}lock`).ttl(60).acquire();
  await assert.rejects(connect().lock(`${prefix}lock`).acquire(), EtcdLockFailedError);
  await first.release();
  const second = await connect().lock(`${prefix}lock`).ttl(60).acquire();
  await second.release();
}

async function elections() {
  const [one, two] = [client.election(`${prefix}election`, 60), connect().election(`${prefix}election`, 60)];
  const campaign = one.campaign("one");
  await next(campaign, "elected");
  assert.equal(await two.leader(), "one");
  const waiting = two.campaign("two");
  const elected = next(waiting, "elected");
  await campaign.proclaim("one again");
  assert.equal(await two.leader(), "one again");
  await campaign.resign();
  await elected;
  assert.equal(await one.leader(), "two");
  await waiting.resign();
}

/** A client of a service, whose methods return promises. */
function service(path) {
  const definition = loader.loadSync(new URL("v3.proto", import.meta.url).pathname, { longs: String, keepCase: true });
  const methods = Object.entries(definition[path.split(".").pop()]).map(([name, method]) => {
    return [name, { ...method, path: `/${path}/${name}` }];
  });
  const Service = grpc.makeClientConstructor(Object.fromEntries(methods), path);
  const stub = new Service(address, grpc.credentials.createInsecure());
  clients.push(stub);
  const deadline = () => ({ deadline: Date.now() + 20_000 });
  const call = (name, request) =>
    new Promise((resolve, reject) => {
      stub[name](request, deadline(), (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  return { call, stream: (name, request) => stub[name](request, deadline()) };
}

async function lockService() {
  const lock = service("v3lockpb.Lock");
  const [first, second] = [client.lease(60), client.lease(60)];
  const name = Buffer.from(`${prefix}v3lock`);
  const held = await lock.call("Lock", { name, lease: await first.grant() });
  assert.equal(held.key.toString(), `${name}/${BigInt(await first.grant()).toString(16)}`);
  let answered = false;
  const waiting = lock.call("Lock", { name, lease: await second.grant() }).finally(() => (answered = true));
  await until("a queue", async () => (await client.getAll().prefix(`${name}/`).count()) === 2);
  assert.equal(answered, false);
  await lock.call("Unlock", { key: held.key });
  await lock.call("Unlock", { key: (await waiting).key });
  await Promise.all([first.revoke(), second.revoke()]);
  const unknown = lock.call("Lock", { name, lease: "12345" });
  await assert.rejects(unknown, { details: "etcdserver: requested lease not found" });
}

async function electionService() {
  const election = service("v3electionpb.Election");
  const lease = client.lease(60);
  const name = Buffer.from(`${prefix}v3election`);
  await assert.rejects(election.call("Leader", { name }), { details: "election: no leader" });
  const value = Buffer.from("one");
  const { leader } = await election.call("Campaign", { name, lease: await lease.grant(), value });
  const observed = election.stream("Observe", { name });
  const [first] = await next(observed, "data");
  assert.equal(first.kv.value.toString(), "one");
  const second = next(observed, "data");
  await election.call("Proclaim", { leader, value: Buffer.from("two") });
  assert.equal((await second)[0].kv.value.toString(), "two");
  assert.deepEqual((await election.call("Leader", { name })).kv.key, leader.key);
  await election.call("Resign", { leader });
  await assert.rejects(election.call("Proclaim", { leader, value }), { details: "election: not leader" });
  observed.on("error", () => {}); // It is cancelled.
  observed.cancel();
  await lease.revoke();
}

async function users() {
  const named = connect({ auth: { username: "ann", password: "wrong" } });
  const refusal = username === undefined ? /authentication is not enabled/ : /invalid user ID or password/;
  await assert.rejects(named.get("a").string(), refusal);
}

const tests = [keysAndRanges, transactions, watches, leases, locks, elections, users];
// The token of a user is known to the client `etcd3` alone.
if (username === undefined) tests.push(lockService, electionService);
for (const test of tests) {
  await test();
  console.log(test.name, "ok");
}
for (const one of clients) one.close();
