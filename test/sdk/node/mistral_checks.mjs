// What Mistral's own client for Node makes of the Mistral surface.
import assert from "node:assert/strict";
import { Mistral } from "@mistralai/mistralai";
import * as errors from "@mistralai/mistralai/models/errors";
import { KEYED_URL, URL, asked, get, raises, stub, untilIdle } from "./common.mjs";

const client = new Mistral({ serverURL: URL, apiKey: "any" });
const messages = [{ role: "user", content: "hi" }];
const tools = ["weather", "clock"].map((name) => ({ type: "function", function: { name, parameters: { type: "object", properties: { city: { type: "string" } } } } }));
const say = (model, more = {}) => client.chat.complete({ model, messages, ...more });

async function joined(stream) {
  const out = { text: "", thoughts: "", calls: [], last: null };
  for await (const { data } of stream) {
    const { content, toolCalls } = data.choices[0].delta;
    for (const c of typeof content === "string" ? [{ type: "text", text: content }] : content) {
      if (c.type === "thinking") out.thoughts += c.thinking.map((t) => t.text).join("");
      else out.text += c.text;
    }
    out.calls.push(...(toolCalls ?? []));
    out.last = data;
  }
  return out;
}

export async function moderation_and_classes() {
  const talk = [{ role: "user", content: "xyz" }, { role: "assistant", content: "aeiou" }];
  const m = await client.classifiers.moderate({ model: "sorter", inputs: ["aeiou", "xyz"] });
  assert.deepEqual(m.results.map((r) => r.categories), [{ good: true, bad: false }, { good: false, bad: true }]);
  assert.equal((await client.classifiers.moderateChat({ model: "sorter", inputs: talk })).results.length, 1);
  const c = await client.classifiers.classify({ model: "sorter", inputs: ["aeiou", "xyz"] });
  assert.deepEqual(c.results.map((r) => r.label.scores.good), [1, 0]);
  assert.equal((await client.classifiers.classifyChat({ model: "sorter", input: { messages: talk } })).results.length, 1);
}

export async function streamed_and_whole_answers_are_one() {
  for (const model of ["plain", "short", "refuses", "tools"]) {
    const whole = await say(model, { randomSeed: 7 });
    const got = await joined(await client.chat.stream({ model, messages }));
    assert.equal(got.text, whole.choices[0].message.content, model);
    assert.deepEqual(got.calls, whole.choices[0].message.toolCalls ?? []);
    assert.equal(got.last.choices[0].finishReason, whole.choices[0].finishReason);
    assert.deepEqual(got.last.usage, whole.usage);
  }
  assert.equal((await joined(await client.chat.stream({ model: "thinks", messages }))).thoughts, "Let me see.");
}

export async function tools_are_called() {
  const a = await say("tools", { tools, toolChoice: "any" });
  assert.equal((await asked()).ToolChoice.Mode, 2);
  assert.deepEqual(a.choices[0].message.toolCalls.map((c) => c.function.name), ["weather", "clock"]);
  await client.chat.complete({ model: "plain", messages: [...messages, { ...a.choices[0].message, role: "assistant" },
    ...a.choices[0].message.toolCalls.map((c) => ({ role: "tool", toolCallId: c.id, content: "sunny" }))] });
  assert.deepEqual((await asked()).Messages.slice(2).map((m) => m.Parts[0].Name), ["weather", "clock"]);
}

export async function the_middle_is_filled() {
  const a = await client.fim.complete({ model: "plain", prompt: "def f(", suffix: "return a", maxTokens: 8 });
  assert.equal(a.choices[0].message.content, "Hello, wörld 🌊.");
  assert.equal((await joined(await client.fim.stream({ model: "plain", prompt: "def f(", suffix: "return a" }))).text, "Hello, wörld 🌊.");
}

export async function vectors_and_models() {
  const e = await client.embeddings.create({ model: "m", inputs: ["one", "two"] });
  assert.deepEqual(e.data.map((d) => [d.index, d.embedding.length]), [[0, 8], [1, 8]]);
  assert.deepEqual((await client.models.list()).data.map((m) => [m.id, m.type]), [["m", "base"], ["org/m:q4", "base"]]);
  assert.equal((await client.models.retrieve({ modelId: "org/m:q4" })).id, "org/m:q4");
}

export async function errors_are_the_right_exceptions() {
  const e = await raises(errors.HTTPValidationError, say("plain", { temperature: 9 }));
  assert.match(e.detail[0].msg, /temperature is 9/);
  for (const [model, status] of [["too_long", 400], ["nope", 404], ["limited", 429], ["quota", 429], ["busy", 503], ["denied", 403], ["down", 503], ["late", 504], ["large", 413]]) {
    assert.equal((await raises(errors.SDKError, say(model))).statusCode, status);
    assert.equal((await raises(errors.SDKError, client.chat.stream({ model, messages }))).statusCode, status);
  }
  const denied = await raises(errors.SDKError, new Mistral({ serverURL: KEYED_URL, apiKey: "wrong" }).models.list());
  assert.equal(denied.statusCode, 401);
}

export async function an_error_in_the_middle_of_a_stream_is_one() {
  let last;
  const e = await raises(Error, (async () => {
    for await (const { data } of await client.chat.stream({ model: "breaks", messages })) last = data;
  })());
  assert.doesNotMatch(String(e), /secret/);
  assert.equal(last.choices[0].finishReason, "error");
}

export async function who_leaves_frees_the_slot() {
  const stream = await client.chat.stream({ model: "hangs", messages });
  const reader = stream[Symbol.asyncIterator]();
  await reader.next();
  assert.equal(await get("/test/live"), 1);
  await reader.return();
  await untilIdle();
}

export async function pings_are_passed_over() {
  assert.equal((await joined(await client.chat.stream({ model: "slow_start", messages }))).text, "At last");
}

// What the client does with answers that we must not give. Where one of these fails, a rule has gone.

const trap = (name) => new Mistral({ serverURL: `${URL}/test/raw/${name}`, apiKey: "any" });
const sent = async (answer, type = "application/json") => new Mistral({ serverURL: await stub(type, JSON.stringify(answer)), apiKey: "any" });
const without = (whole, field) => Object.fromEntries(Object.entries(whole).filter(([k]) => k !== field));

export async function trap_an_answer_without_one_of_its_fields() {
  const whole = { id: "1", object: "chat.completion", created: 1, model: "m", usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    choices: [{ index: 0, message: { role: "assistant", content: "a" }, finish_reason: "stop" }] };
  assert.equal((await (await sent(whole)).chat.complete({ model: "m", messages })).choices[0].message.content, "a");
  for (const field of Object.keys(whole)) {
    await assert.rejects((await sent(without(whole, field))).chat.complete({ model: "m", messages }), field);
  }
}

export async function trap_vectors_without_an_id() {
  const whole = { id: "1", object: "list", model: "m", data: [{ object: "embedding", index: 0, embedding: [1] }], usage: { prompt_tokens: 1, completion_tokens: 0, total_tokens: 1 } };
  assert.equal((await (await sent(whole)).embeddings.create({ model: "m", inputs: "a" })).data.length, 1);
  await assert.rejects((await sent(without(whole, "id"))).embeddings.create({ model: "m", inputs: "a" }));
}

export async function trap_chunks_models_and_texts() {
  for (const name of ["mistral_no_finish_reason", "mistral_call_without_a_name"]) {
    await assert.rejects((async () => joined(await trap(name).chat.stream({ model: "m", messages })))(), name);
  }
  assert.equal((await trap("mistral_models_without_a_type").models.list()).data.length, 1); // Python's client fails
  await assert.rejects((await sent({}, "text/plain")).models.list());
}
