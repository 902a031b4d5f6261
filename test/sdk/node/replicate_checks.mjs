// What Replicate's own Node client makes of the Replicate surface.
import assert from "node:assert/strict";
import Replicate, { validateWebhook } from "replicate";
import { KEYED_URL, URL, asked, untilIdle } from "./common.mjs";

const HELLO = "Hello, wörld 🌊.";
const connect = (base = URL, auth = "any") => new Replicate({ auth, baseUrl: base + "/v1", useFileOutput: false });
const client = connect();
const input = { prompt: "hi" };

// fails gives the error of a promise that must fail with the client's own kind, and its status.
async function fails(promise) {
  const e = await promise.then(() => assert.fail("nothing was raised"), (e) => e);
  return { name: e.name, status: e.response?.status, message: e.message };
}

export async function run_waits_and_polls() {
  for (const wait of [{ mode: "block" }, { mode: "poll", interval: 20 }]) {
    assert.equal((await client.run("galerne/m", { input, wait })).join(""), HELLO);
  }
  const slow = await client.run("galerne/slow", { input, wait: { mode: "block", timeout: 1, interval: 50 } }); // asked for again when the wait is over
  assert.equal(slow.join(""), "At last");
  const version = (await client.models.get("galerne", "m")).latest_version.id;
  assert.equal((await client.run(`galerne/m:${version}`, { input })).join(""), HELLO);
  await client.run("galerne/m", { input: { ...input, max_tokens: 64, temperature: 0.5, seed: 7 } });
  const { MaxTokens, Sampling } = await asked();
  assert.deepEqual([MaxTokens, Sampling.Temperature, Sampling.Seed], [64, 0.5, 7]);
}

export async function streams_say_what_whole_answers_say() {
  const events = [];
  for await (const e of client.stream("galerne/m", { input })) events.push(e);
  assert.equal(events.filter((e) => e.event === "output").map((e) => e.data).join(""), HELLO);
  assert.equal(events.at(-1).event, "done");
}

export async function predictions_are_listed_and_cancelled() {
  let p = await client.predictions.create({ model: "galerne/hangs", input });
  while (p.status === "starting") p = await client.predictions.get(p.id);
  assert.equal((await client.predictions.cancel(p.id)).status, "canceled");
  await untilIdle();
  const made = [];
  for (let i = 0; i < 105; i++) made.unshift((await client.predictions.create({ model: "galerne/m", input })).id); // a page has 100
  const pages = [];
  for await (const page of client.paginate(client.predictions.list)) pages.push(page.map((one) => one.id));
  const seen = pages.flat();
  assert.ok(pages.length > 1 && seen.includes(p.id));
  assert.deepEqual(seen.slice(0, 105), made); // the latest first
  assert.equal(new Set(seen).size, seen.length);
}

export async function a_prediction_that_fails() {
  const e = await fails(client.run("galerne/breaks", { input }));
  assert.ok(e.message.includes("Prediction failed") && !e.message.includes("secret"), e.message);
}

export async function errors_have_their_status() {
  assert.equal((await fails(client.models.get("meta", "llama"))).status, 404);
  assert.equal((await fails(client.run("galerne/m", { input: { ...input, max_tokens: 0 } }))).status, 422);
  assert.equal((await fails(connect(KEYED_URL, "wrong").predictions.list())).status, 401);
  assert.ok((await connect(KEYED_URL, "right").predictions.list()).results);
}

export async function webhooks_pass_their_validation() {
  const { createServer } = await import("node:http");
  const heard = new Promise((resolve) => {
    const server = createServer((request, response) => {
      const parts = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        response.end();
        server.close();
        resolve({ headers: request.headers, body: Buffer.concat(parts).toString() });
      });
    });
    server.listen(0, "127.0.0.1", () => client.predictions.create({ model: "galerne/m", input, webhook: `http://127.0.0.1:${server.address().port}/hook`, webhook_events_filter: ["completed"] }));
  });
  const { headers, body } = await heard;
  const { key: secret } = await client.webhooks.default.secret.get();
  const signed = { id: headers["webhook-id"], timestamp: headers["webhook-timestamp"], signature: headers["webhook-signature"], secret };
  assert.equal(await validateWebhook({ ...signed, body }), true);
  assert.equal(await validateWebhook({ ...signed, body: body + " " }), false);
}
