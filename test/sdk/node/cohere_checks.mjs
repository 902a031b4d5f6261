// What Cohere's own client for Node makes of the Cohere surface.
import assert from "node:assert/strict";
import { CohereClient, CohereClientV2, CohereError } from "cohere-ai";
import { KEYED_URL, URL, asked, get, raises, untilIdle } from "./common.mjs";

const client = new CohereClientV2({ baseUrl: URL, environment: URL, token: "any" });
const messages = [{ role: "user", content: "hi" }];
const once = { maxRetries: 0 };
const documents = ["Emperor penguins are the tallest of all.", { id: "sizes", data: { snippet: "up to 122 cm" } }];
const tools = ["weather", "clock"].map((name) => ({ type: "function", function: { name, parameters: { type: "object" } } }));
const say = (model, more = {}) => client.chat({ model, messages, ...more }, once);

async function folded(model, more = {}) {
  const out = { content: [], calls: [], citations: [], last: null };
  for await (const e of await client.chatStream({ model, messages, ...more }, once)) {
    const m = e.delta?.message;
    if (e.type === "content-start") out.content.push("");
    if (e.type === "content-delta") out.content[e.index] += m.content.text ?? m.content.thinking;
    if (e.type === "tool-call-start") out.calls.push({ ...m.toolCalls, function: { ...m.toolCalls.function } });
    if (e.type === "tool-call-delta") out.calls[e.index].function.arguments += m.toolCalls.function.arguments;
    if (e.type === "citation-start") out.citations.push(m.citations);
    if (e.type === "message-end") out.last = e.delta;
  }
  return out;
}

export async function streamed_and_whole_answers_are_one() {
  for (const model of ["plain", "thinks", "short", "tools", "penguins"]) {
    const whole = await say(model, { documents });
    const got = await folded(model, { documents });
    assert.deepEqual(got.content, (whole.message.content ?? []).map((c) => c.text ?? c.thinking), model);
    assert.deepEqual(got.calls, whole.message.toolCalls ?? []);
    assert.deepEqual(got.citations, whole.message.citations ?? []);
    assert.equal(got.last.finishReason, whole.finishReason);
    assert.deepEqual(got.last.usage, whole.usage);
  }
}

const old = new CohereClient({ baseUrl: URL, environment: URL, token: "any" });

export async function version_1_streams_what_it_says_as_a_whole() {
  const oldTools = ["weather", "clock"].map((name) => ({ name, description: name, parameterDefinitions: { city: { type: "str", required: true } } }));
  for (const model of ["plain", "thinks", "tools", "penguins"]) {
    const ask = { model, message: "hi", tools: oldTools, documents: [{ id: "d", text: "Emperor penguins are the tallest of all." }] };
    const whole = await old.chat(ask, once);
    const got = { text: "", calls: [], citations: [], last: null };
    for await (const e of await old.chatStream(ask, once)) {
      if (e.eventType === "text-generation") got.text += e.text;
      if (e.eventType === "tool-calls-generation") got.calls.push(...e.toolCalls);
      if (e.eventType === "citation-generation") got.citations.push(...e.citations);
      if (e.eventType === "stream-end") got.last = e;
    }
    assert.equal(got.text, whole.text, model);
    assert.deepEqual(got.calls, whole.toolCalls ?? []);
    assert.deepEqual(got.citations, whole.citations ?? []);
    assert.equal(got.last.finishReason, whole.finishReason);
    assert.equal(got.last.response.text, whole.text);
    assert.equal(model === "penguins", got.citations.length > 0);
  }
}

export async function version_1_embeds_and_ranks() {
  const e = await old.embed({ model: "m", texts: ["a", "b"], inputType: "search_query" }, once);
  assert.equal(e.embeddings.length, 2);
  const r = await old.rerank({ model: "m", query: "tall tree", documents: ["small", "tall tree"], returnDocuments: true }, once);
  assert.deepEqual(r.results.map((x) => [x.index, x.document.text]), [[1, "tall tree"], [0, "small"]]);
  const c = await old.classify({ model: "sorter", inputs: ["aeiou", "xyz"] }, once);
  assert.deepEqual(c.classifications.map((x) => x.prediction), ["good", "bad"]);
}

export async function citations_hold() {
  const a = await say("penguins", { documents });
  const text = Array.from(a.message.content[0].text); // characters, as Cohere counts
  assert.deepEqual(a.message.citations.map((c) => text.slice(c.start, c.end).join("")), ["Emperor penguins", "122"]);
  assert.deepEqual(a.message.citations.map((c) => [c.text, c.sources[0].id]), [["Emperor penguins", "doc:0"], ["122", "sizes"]]);
}

export async function tools_are_called() {
  const a = await say("tools", { tools, toolChoice: "REQUIRED" });
  assert.equal(a.finishReason, "TOOL_CALL");
  assert.equal((await asked()).ToolChoice.Mode, 2);
  await client.chat({ model: "plain", messages: [...messages, a.message, ...a.message.toolCalls.map((c) => ({ role: "tool", toolCallId: c.id, content: "sunny" }))] });
  assert.deepEqual((await asked()).Messages.slice(2).map((m) => m.Parts[0].Name), ["weather", "clock"]);
}

export async function vectors_orders_tokens_and_models() {
  const types = ["float", "int8", "uint8", "binary", "ubinary", "base64"];
  const e = (await client.embed({ model: "m", texts: ["one"], inputType: "search_document", embeddingTypes: types })).embeddings;
  assert.deepEqual(types.map((t) => e[t][0].length), [8, 8, 8, 1, 1, 44]);
  const r = await client.rerank({ model: "m", query: "tall penguins", documents: ["small", "tall penguins", "tall"], topN: 2 });
  assert.deepEqual(r.results.map((x) => x.index), [1, 2]);
  const t = await old.tokenize({ model: "m", text: "Hé 🌊" });
  assert.equal((await old.detokenize({ model: "m", tokens: t.tokens })).text, "Hé 🌊");
  assert.deepEqual((await old.models.list()).models.map((m) => m.name), ["m", "org/m:q4"]);
}

export async function errors_are_the_right_exceptions() {
  for (const [model, status] of [["too_long", 400], ["nope", 404], ["limited", 429], ["quota", 429], ["busy", 503], ["denied", 403], ["down", 503], ["late", 504], ["large", 413]]) {
    for (const call of [() => say(model), () => folded(model)]) {
      const e = await raises(CohereError, call());
      assert.equal(e.statusCode, status);
      assert.ok(e.body.message && e.body.id);
    }
  }
  const denied = await raises(CohereError, new CohereClientV2({ baseUrl: KEYED_URL, environment: KEYED_URL, token: "wrong" }).models.list());
  assert.equal(denied.statusCode, 401);
  assert.equal((await folded("breaks")).last.finishReason, "ERROR");
}

export async function events_come_in_order() {
  const order = async (model) => {
    const types = [];
    for await (const e of await client.chatStream({ model, messages, documents }, once)) types.push(e.type);
    return types;
  };
  assert.deepEqual(await order("thinks"), ["message-start", "content-start", "content-delta", "content-delta", "content-end",
    "content-start", "content-delta", "content-end", "message-end"]);
  assert.deepEqual(await order("tools"), ["message-start", "tool-call-start", "tool-call-delta", "tool-call-delta", "tool-call-end",
    "tool-call-start", "tool-call-delta", "tool-call-end", "message-end"]);
}

export async function refused_callers_try_again() {
  for (const script of ["limited", "busy"]) {
    const base = `${URL}/test/try/js_cohere_${script}/${script}/1`;
    const eager = new CohereClientV2({ baseUrl: base, environment: base, token: "any" });
    assert.equal((await eager.chat({ model: "plain", messages })).finishReason, "COMPLETE");
    assert.equal((await get("/test/tries/js_cohere_" + script)).length, 2);
  }
}

export async function who_leaves_frees_the_slot() {
  const left = new AbortController();
  const stream = await client.chatStream({ model: "hangs", messages }, { ...once, abortSignal: left.signal });
  for await (const e of stream) {
    assert.equal(e.type, "message-start");
    assert.equal(await get("/test/live"), 1);
    break;
  }
  left.abort();
  await untilIdle();
}

export async function pings_are_passed_over() {
  assert.deepEqual((await folded("slow_start")).content, ["At last"]);
}
