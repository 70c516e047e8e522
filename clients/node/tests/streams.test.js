// The recorded streams and addresses that the clients in all languages parse.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { setImmediate } from "node:timers/promises";
import { parse } from "../address.js";
import { Client, Malformed } from "../index.js";
import { Parser } from "../stream.js";
import { FakeSidecar, beginEvents, document } from "./fake.js";

const shared = (name) => JSON.parse(readFileSync(new URL(`../../${name}.json`, import.meta.url), "utf8"));
const STREAMS = shared("streams");

function recorded({ stream, hex }) {
  return stream === undefined ? Buffer.from(hex.replaceAll(" ", ""), "hex") : Buffer.from(stream, "utf8");
}

/** The data in pieces of this size. */
function* pieces(data, size) {
  for (let start = 0; start < data.length; start += size) yield data.subarray(start, start + size);
}

/** A sidecar that stops with the test. */
async function fake(context, answer, host) {
  const sidecar = await FakeSidecar.start(answer, host);
  context.after(() => sidecar.stop());
  return sidecar;
}

test("streams are parsed at all chunk boundaries", () => {
  assert.ok(STREAMS.length > 10);
  for (const stream of STREAMS) {
    const data = recorded(stream);
    const splits = [[data], [...pieces(data, 1)]];
    for (let n = 0; n < data.length; n += 1) splits.push([data.subarray(0, n), data.subarray(0, 0), data.subarray(n)]);
    for (const split of splits) {
      const parser = new Parser();
      assert.deepEqual(split.flatMap((part) => [...parser.feed(part)]), stream.events, stream.name);
    }
  }
});

test("an event does not wait for what may follow", () => {
  const parser = new Parser();
  assert.deepEqual([...parser.feed(Buffer.from("data: 1\r\r"))], [{ id: null, name: "message", data: "1" }]);
  assert.deepEqual([...parser.feed(Buffer.from("\ndata: 2\n\n"))], [{ id: null, name: "message", data: "2" }]);
});

test("a subscriber gets hostile text", async (context) => {
  for (const size of [1, 7, 100_000]) {
    const [stream] = STREAMS;
    const sidecar = await fake(context, async (request, response) => {
      beginEvents(response);
      for (const piece of pieces(recorded(stream), size)) {
        response.write(piece);
        await setImmediate();
      }
    });
    for await (const { id, data } of new Client({ address: `127.0.0.1:${sidecar.port}` }).events()) {
      assert.deepEqual([id, data], [7, JSON.parse(stream.events[0].data)]);
      break;
    }
  }
});

test("a malformed event ends the iteration", async (context) => {
  const sidecar = await fake(context, (request, response) => {
    beginEvents(response);
    response.write("id: 1\nevent: changes\ndata: {\n\n");
  });
  const events = new Client({ address: `127.0.0.1:${sidecar.port}` }).events();
  await assert.rejects(events.next(), Malformed);
});

test("a subscriber survives a sidecar that is not ready", async (context) => {
  const seen = [];
  const sidecar = await fake(context, (request, response) => {
    seen.push(request.headers["last-event-id"]);
    if (seen.length === 1) return document(response, { type: "urn:planlease:problem:draining" }, 503);
    if (seen.length === 2) return response.writeHead(502).end("<html>");
    beginEvents(response);
    return response.end(`id: ${seen.length}\nevent: changes\ndata: {}\n\n`);
  });
  const events = new Client({ address: `127.0.0.1:${sidecar.port}` }).events();
  assert.deepEqual([(await events.next()).value.id, (await events.next()).value.id], [3, 4]);
  assert.deepEqual(seen.slice(0, 4), [undefined, undefined, undefined, "3"]);
});

test("addresses are parsed", () => {
  for (const { address, error, ...to } of shared("addresses")) {
    if (error === undefined) {
      assert.deepEqual(parse(address), to, address);
    } else {
      const wanted = (thrown) => thrown.message.includes(error) && !thrown.message.includes("secret");
      assert.throws(() => parse(address), wanted, address);
    }
  }
});

test("IPv6 addresses are connected to", async (context) => {
  const answer = (request, response) => document(response, { plans: [] });
  const sidecar = await fake(context, answer, "::1").catch((error) => error);
  if (sidecar instanceof Error) return context.skip(`this host has no IPv6: ${sidecar.message}`);
  for (const address of ["[::1]:PORT", "http://[::1]:PORT", "http://[::1]:PORT/"]) {
    const client = new Client({ address: address.replace("PORT", sidecar.port) });
    assert.deepEqual(await client.plans(), []);
  }
  return undefined;
});
