// What Ollama's own client for Node makes of the Ollama surface.
import assert from "node:assert/strict";
import { Ollama } from "ollama";
import { URL, asked, get, raises, untilIdle } from "./common.mjs";

const client = new Ollama({ host: URL });
const messages = [{ role: "user", content: "hi" }];
const text = "Hello, wörld 🌊.";

async function gathered(stream) {
  const parts = [];
  for await (const p of stream) parts.push(p);
  return parts;
}

export async function streamed_and_whole_answers_are_one() {
  for (const model of ["plain", "thinks", "short"]) {
    const whole = await client.chat({ model, messages });
    const parts = await gathered(await client.chat({ model, messages, stream: true }));
    assert.equal(parts.map((p) => p.message.content).join(""), whole.message.content);
    assert.equal(parts.map((p) => p.message.thinking ?? "").join(""), whole.message.thinking ?? "");
    assert.deepEqual([parts.at(-1).done, parts.at(-1).done_reason, parts.at(-1).eval_count], [true, whole.done_reason, whole.eval_count]);
  }
  const parts = await gathered(await client.generate({ model: "plain", prompt: "hi", stream: true }));
  assert.equal(parts.map((p) => p.response).join(""), text);
  assert.ok(parts.at(-1).context.length > 0);
}

export async function arguments_of_tools_are_objects() {
  const tools = [{ type: "function", function: { name: "weather", description: "", parameters: { type: "object", properties: {} } } }];
  for (const calls of [
    (await client.chat({ model: "tools", messages, tools })).message.tool_calls,
    (await gathered(await client.chat({ model: "tools", messages, tools, stream: true }))).flatMap((p) => p.message.tool_calls ?? []),
  ]) {
    assert.deepEqual(calls.map((c) => [c.function.name, c.function.arguments]), [["weather", { city: "Brest" }], ["clock", {}]]);
  }
}

export async function embeddings_and_lists() {
  assert.equal((await client.embed({ model: "m", input: ["one", "two"] })).embeddings[1].length, 8);
  assert.deepEqual((await client.list()).models.map((m) => m.name), ["m:latest", "org/m:q4"]);
  assert.equal((await client.ps()).models[0].name, "m:latest");
  assert.ok((await client.show({ model: "m" })).capabilities.includes("completion"));
  assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
}

export async function models_are_pulled_copied_and_deleted() {
  const lines = await gathered(await client.pull({ model: "m", stream: true }));
  assert.equal(lines.at(-1).status, "success");
  assert.equal((await client.copy({ source: "m", destination: "mine" })).status, "success");
  assert.equal((await client.delete({ model: "m" })).status, "success");
}

export async function errors_have_a_status_and_say_why() {
  const e = await raises(Error, client.chat({ model: "nope", messages }));
  assert.equal(e.status_code, 404);
  assert.match(e.message, /model 'nope' not found/);
  assert.equal((await raises(Error, client.chat({ model: "too_long", messages, stream: true }))).status_code, 400);
  await raises(Error, gathered(await client.chat({ model: "breaks", messages, stream: true })));
}

export async function who_leaves_frees_the_slot() {
  const s = await client.chat({ model: "hangs", messages, stream: true });
  setTimeout(() => s.abort(), 100);
  await gathered(s).catch(() => {});
  await untilIdle();
}

export async function keep_alives_are_parts_without_text() {
  const parts = await gathered(await client.chat({ model: "slow_start", messages, stream: true }));
  assert.equal(parts.map((p) => p.message.content).join(""), "At last");
}
