// What Anthropic's own client for Node makes of the Anthropic surface.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { KEYED_URL, URL, asked, get, raises, untilIdle } from "./common.mjs";

const client = new Anthropic({ baseURL: URL, apiKey: "any", maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];
const tools = ["weather", "clock"].map((name) => ({ name, input_schema: { type: "object", properties: { city: { type: "string" } } } }));
const ask = (model, more = {}, options = {}) => client.messages.create({ model, messages, max_tokens: 64, ...more }, options);
const stream = (model, more = {}) => client.messages.stream({ model, messages, max_tokens: 64, ...more });

export async function streamed_and_whole_answers_are_one() {
  for (const model of ["plain", "thinks", "short", "refuses", "tools"]) {
    const whole = await ask(model);
    const streamed = await stream(model).finalMessage();
    const shown = (m) => ({ id: m.id, model: m.model, reason: m.stop_reason, sequence: m.stop_sequence, input: m.usage.input_tokens, output: m.usage.output_tokens,
      content: m.content.map(({ citations, parsed_output, parsed, ...block }) => block) });
    assert.deepEqual(shown(streamed), shown(whole));
  }
  assert.equal((await ask("plain")).content[0].text, "Hello, wörld 🌊.");
}

export async function events_come_in_order() {
  const names = [];
  for await (const e of await ask("thinks", { stream: true })) names.push(e.type + (e.delta?.type ? " " + e.delta.type : ""));
  assert.deepEqual(names, ["message_start", "content_block_start", "content_block_delta thinking_delta", "content_block_delta thinking_delta",
    "content_block_delta signature_delta", "content_block_stop", "content_block_start", "content_block_delta text_delta", "content_block_stop",
    "message_delta", "message_stop"]);
}

export async function inputs_of_tools_are_objects() {
  const m = await stream("tools", { tools, tool_choice: { type: "tool", name: "weather" } }).finalMessage();
  assert.deepEqual(m.content.map((b) => [b.type, b.name, b.input]), [["tool_use", "weather", { city: "Brest" }], ["tool_use", "clock", {}]]);
  assert.deepEqual((await asked()).ToolChoice, { Mode: 3, Names: ["weather"] });
  const results = m.content.map((b) => ({ type: "tool_result", tool_use_id: b.id, content: "sunny" }));
  await ask("plain", { messages: [...messages, { role: "assistant", content: m.content }, { role: "user", content: results }], tools });
  const parts = (await asked()).Messages.flatMap((one) => one.Parts).filter((p) => p.CallID);
  assert.deepEqual(parts.map((p) => [p.Name, p.Text]), [["weather", "sunny"], ["clock", "sunny"]]);
}

export async function tokens_are_counted_and_models_listed() {
  assert.equal((await client.messages.countTokens({ model: "m", messages })).input_tokens, 2);
  const ids = [];
  for await (const m of client.models.list({ limit: 1 })) ids.push(m.id);
  assert.deepEqual(ids, ["m", "org/m:q4"]);
}

export async function reasoning_makes_the_round_trip() {
  const m = await stream("thinks", { max_tokens: 2000, thinking: { type: "enabled", budget_tokens: 1024 } }).finalMessage();
  assert.deepEqual(m.content.map((b) => b.type), ["thinking", "text"]);
  assert.ok(m.content[0].signature);
  await ask("plain", { messages: [...messages, { role: "assistant", content: m.content }, ...messages] });
  assert.deepEqual((await asked()).Messages[1].Parts.map((p) => p.Text), ["Let me see.", "42"]);
}

export async function keys_come_in_both_headers_and_betas_as_they_come() {
  for (const more of [{ apiKey: "right" }, { authToken: "right", apiKey: null }, { apiKey: null, authToken: null, defaultHeaders: { "X-Api-Key": "right" } }]) {
    assert.ok((await new Anthropic({ baseURL: KEYED_URL, maxRetries: 0, ...more }).models.list()).data.length);
  }
  const m = await client.beta.messages.create({ model: "plain", messages, max_tokens: 9, betas: ["something-2031-01-01"] });
  assert.equal(m.content[0].text, "Hello, wörld 🌊.");
}

export async function busy_servers_are_tried_again() {
  const eager = new Anthropic({ baseURL: URL + "/test/try/js_anthropic/busy/2", apiKey: "any", maxRetries: 2 });
  assert.equal((await eager.messages.create({ model: "plain", messages, max_tokens: 9 })).stop_reason, "end_turn");
  assert.deepEqual(await get("/test/tries/js_anthropic"), ["0", "1", "2"]);
}

export async function batches_come_to_their_results() {
  let batch = await client.messages.batches.create({ requests: ["plain", "nope"].map((model) => ({ custom_id: model, params: { model, messages, max_tokens: 9 } })) });
  for (const end = Date.now() + 20000; batch.processing_status !== "ended" && Date.now() < end;) batch = await client.messages.batches.retrieve(batch.id);
  const types = {};
  for await (const r of await client.messages.batches.results(batch.id)) types[r.custom_id] = r.result.type;
  assert.deepEqual(types, { plain: "succeeded", nope: "errored" });
}

export async function errors_are_the_right_classes() {
  for (const [model, kind, status] of [["too_long", Anthropic.BadRequestError, 400], ["nope", Anthropic.NotFoundError, 404], ["limited", Anthropic.RateLimitError, 429],
    ["busy", Anthropic.APIError, 529], ["quota", Anthropic.APIError, 402], ["denied", Anthropic.PermissionDeniedError, 403],
    ["large", Anthropic.APIError, 413], ["late", Anthropic.InternalServerError, 504], ["down", Anthropic.InternalServerError, 503], ["breaks", Anthropic.InternalServerError, 500]]) {
    const e = await raises(kind, ask(model));
    assert.equal(e.status, status);
    assert.match(e.requestID, /^req_/);
  }
  await raises(Anthropic.AuthenticationError, new Anthropic({ baseURL: KEYED_URL, apiKey: "wrong", maxRetries: 0 }).models.list());
  assert.ok((await new Anthropic({ baseURL: KEYED_URL, apiKey: "right", maxRetries: 0 }).models.list()).data.length);
  await raises(Anthropic.APIError, stream("breaks").finalMessage());
}

export async function who_leaves_frees_the_slot() {
  const s = await ask("hangs", { stream: true });
  for await (const e of s) {
    if (e.type === "content_block_delta") break;
  }
  await untilIdle();
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 200);
  await raises(Anthropic.APIUserAbortError, ask("hangs_early", {}, { signal: stop.signal }));
  await untilIdle();
}

export async function pings_are_passed_over() {
  assert.equal(await stream("slow_start").finalText(), "At last");
}

// A stream without message_stop: the reason why one is always sent.
export async function trap_no_message_stop() {
  const trapped = new Anthropic({ baseURL: URL + "/test/raw/anthropic_no_stop", apiKey: "any", maxRetries: 0 });
  await raises(Anthropic.AnthropicError, trapped.messages.stream({ model: "m", messages, max_tokens: 9 }).finalMessage());
}
