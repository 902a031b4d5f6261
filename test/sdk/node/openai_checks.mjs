// What OpenAI's own client for Node makes of the OpenAI surface.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { KEYED_URL, URL, asked, get, raises, stub, untilIdle } from "./common.mjs";

const client = new OpenAI({ baseURL: URL + "/v1", apiKey: "any", maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];
const tools = ["weather", "clock"].map((name) => ({ type: "function", function: { name, parameters: { type: "object", properties: { city: { type: "string" } } } } }));
const chat = (model, more = {}, options = {}) => client.chat.completions.create({ model, messages, ...more }, options);

export async function streamed_and_whole_answers_are_one() {
  const whole = await chat("plain");
  assert.equal(whole.choices[0].message.content, "Hello, wörld 🌊.");
  let text = "";
  let usage;
  for await (const c of await chat("plain", { stream: true, stream_options: { include_usage: true } })) {
    text += c.choices[0]?.delta.content ?? "";
    usage = c.usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.deepEqual(usage, whole.usage);
}

export async function the_helper_for_streams_is_content() {
  const final = await client.chat.completions.stream({ model: "tools", messages, tools }).finalChatCompletion();
  const m = final.choices[0].message;
  assert.equal(m.role, "assistant");
  assert.equal(final.choices[0].finish_reason, "tool_calls");
  assert.deepEqual(m.tool_calls.map((c) => [c.id, c.type, c.function.name, JSON.parse(c.function.arguments)]),
    [["call_1", "function", "weather", { city: "Brest" }], ["call_2", "function", "clock", {}]]);
  assert.equal(await client.chat.completions.stream({ model: "plain", messages }).finalContent(), "Hello, wörld 🌊.");
}

const LIST = 'ls "🌊é"\n'; // what the script calls the custom tool with

export async function custom_tools_whole_and_streamed() {
  const custom = { tools: [{ type: "custom", custom: { name: "shell", description: "runs a command" } }, tools[1]], tool_choice: { type: "custom", custom: { name: "shell" } } };
  const whole = (await chat("custom", custom)).choices[0].message;
  assert.deepEqual(whole.tool_calls[0], { id: "call_1", type: "custom", custom: { name: "shell", input: LIST } });
  assert.equal(whole.tool_calls[1].type, "function");
  let text = "";
  for await (const c of await chat("custom", { ...custom, stream: true })) for (const call of c.choices[0].delta.tool_calls ?? []) text += call.custom?.input ?? "";
  assert.equal(text, LIST);
  await chat("plain", { ...custom, messages: [...messages, whole, ...whole.tool_calls.map((c) => ({ role: "tool", tool_call_id: c.id, content: "a" }))] });
  const parts = (await asked()).Messages.flatMap((m) => m.Parts).filter((p) => p.ID);
  assert.deepEqual(JSON.parse(parts[0].Arguments), { input: LIST });
}

export async function custom_tools_of_responses() {
  const ask = { model: "custom", input: "list?", tools: [{ type: "custom", name: "shell" }], tool_choice: { type: "custom", name: "shell" } };
  const whole = await client.responses.create(ask);
  assert.deepEqual([whole.output[0].type, whole.output[0].name, whole.output[0].input], ["custom_tool_call", "shell", LIST]);
  const stream = client.responses.stream(ask);
  let text = "";
  for await (const e of stream) if (e.type === "response.custom_tool_call_input.delta") text += e.delta;
  assert.equal(text, LIST);
  assert.deepEqual((await stream.finalResponse()).output[0].input, LIST);
}

export async function tools_are_run_by_the_client() {
  const runner = client.chat.completions.runTools({
    model: "tools", messages, stream: true, max_completion_tokens: 50,
    tools: ["weather", "clock"].map((name) => ({ type: "function", function: { name, parse: JSON.parse, function: async () => "sunny", parameters: { type: "object", properties: {} } } })),
  }, { maxChatCompletions: 2 });
  const results = [];
  runner.on("functionToolCallResult", (r) => results.push(r));
  await runner.done().catch(() => {}); // the script calls the tools for ever; the limit ends it
  assert.deepEqual(results.slice(0, 2), ["sunny", "sunny"]);
  const parts = (await asked()).Messages.flatMap((m) => m.Parts).filter((p) => p.CallID);
  assert.deepEqual(parts.map((p) => [p.CallID, p.Name, p.Text]), [["call_1", "weather", "sunny"], ["call_2", "clock", "sunny"]]);
}

export async function embeddings_are_not_empty() {
  const byDefault = await client.embeddings.create({ model: "m", input: ["one", "two"] });
  const floats = await client.embeddings.create({ model: "m", input: ["one", "two"], encoding_format: "float" });
  assert.equal(byDefault.data[0].embedding.length, 8);
  byDefault.data.forEach((d, i) => d.embedding.forEach((x, j) => assert.ok(Math.abs(x - floats.data[i].embedding[j]) < 1e-6)));
}

export async function models_have_slashes() {
  const ids = [];
  for await (const m of client.models.list()) ids.push(m.id);
  assert.deepEqual(ids, ["m", "org/m:q4"]);
  assert.equal((await client.models.retrieve("org/m:q4")).id, "org/m:q4");
}

export async function errors_are_the_right_exceptions() {
  let e = await raises(OpenAI.AuthenticationError, new OpenAI({ baseURL: KEYED_URL + "/v1", apiKey: "wrong", maxRetries: 0 }).models.list());
  assert.equal(e.code, "invalid_api_key");
  e = await raises(OpenAI.BadRequestError, chat("plain", { temperature: 9 }));
  assert.equal(e.param, "temperature");
  e = await raises(OpenAI.BadRequestError, chat("too_long"));
  assert.equal(e.code, "context_length_exceeded");
  e = await raises(OpenAI.NotFoundError, chat("nope"));
  assert.equal(e.code, "model_not_found");
  assert.match(e.requestID, /^req_/);
  for (const [model, kind, status] of [["limited", OpenAI.RateLimitError, 429], ["busy", OpenAI.InternalServerError, 503], ["down", OpenAI.InternalServerError, 503],
    ["late", OpenAI.InternalServerError, 504], ["denied", OpenAI.PermissionDeniedError, 403], ["large", OpenAI.APIError, 413]]) {
    for (const stream of [true, false]) assert.equal((await raises(kind, chat(model, { stream }))).status, status);
  }
  e = await raises(OpenAI.APIError, (async () => { for await (const _ of await chat("breaks", { stream: true })); })());
  assert.match(e.message, /internal error/);
}

export async function budgets_and_busy_servers_are_told_apart() {
  const eager = (name, n) => new OpenAI({ baseURL: `${URL}/test/try/${name}/busy/${n}/v1`, apiKey: "any", maxRetries: 2 });
  await raises(OpenAI.RateLimitError, eager("js_quota", 0).chat.completions.create({ model: "quota", messages }));
  assert.deepEqual(await get("/test/tries/js_quota"), ["0"]);
  await eager("js_busy", 2).chat.completions.create({ model: "plain", messages });
  assert.deepEqual(await get("/test/tries/js_busy"), ["0", "1", "2"]);
}

export async function who_leaves_frees_the_slot() {
  for (const stream of [true, false]) {
    for (const model of ["hangs", "hangs_early"]) {
      const control = new AbortController();
      const answer = (async () => {
        const got = await chat(model, { stream }, { signal: control.signal });
        if (stream) for await (const _ of got);
      })();
      while ((await get("/test/live")) === 0) await new Promise((done) => setTimeout(done, 5));
      control.abort();
      await answer.catch(() => {});
      await untilIdle();
    }
  }
}

export async function keep_alives_are_passed_over() {
  assert.equal(await client.chat.completions.stream({ model: "slow_start", messages }).finalContent(), "At last");
}

export async function responses_whole_and_streamed_are_one() {
  const whole = await client.responses.create({ model: "thinks", input: "hi" });
  assert.equal(whole.output_text, "42");
  const stream = client.responses.stream({ model: "thinks", input: "hi" });
  const numbers = [];
  for await (const e of stream) numbers.push(e.sequence_number);
  const final = await stream.finalResponse();
  assert.equal(final.output_text, "42");
  assert.deepEqual(numbers, numbers.map((_, i) => i));
  assert.deepEqual(final.output.map((o) => o.type), whole.output.map((o) => o.type));
}

// Traps: bytes that the client must not like. Where one is passed over one day, a rule that the
// surface keeps for its sake can go.
const trap = (name) => new OpenAI({ baseURL: `${URL}/test/raw/${name}/v1`, apiKey: "any", maxRetries: 0 });

export async function trap_floats_where_base64_was_asked() {
  const got = await trap("openai_floats").embeddings.create({ model: "m", input: "one" });
  assert.equal(got.data[0].embedding.length, 0);
}

export async function trap_json_that_calls_itself_text() {
  assert.equal(typeof (await trap("openai_plain_text").chat.completions.create({ model: "m", messages })), "string");
}

export async function trap_a_stream_without_a_role() {
  await assert.rejects(trap("openai_no_role").chat.completions.stream({ model: "m", messages }).finalChatCompletion());
}

const chunk = (delta, finish = null) => "data: " + JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m",
  choices: [{ index: 0, delta, finish_reason: finish }] });
const first = chunk({ role: "assistant", content: "a" });
const last = chunk({}, "stop");

// sent is a client of a server that streams the lines of an event each, and says [DONE].
async function sent(...lines) {
  return new OpenAI({ baseURL: await stub("text/event-stream", [...lines, "data: [DONE]"].map((line) => line + "\n\n").join("")), apiKey: "any", maxRetries: 0 });
}
const helped = (client) => client.chat.completions.stream({ model: "m", messages }).finalChatCompletion();

// What a keep-alive may be. Python's client does not bear the retry line.
export async function trap_the_stub_itself_is_understood() {
  assert.equal((await helped(await sent(": ping", first, "retry: 100", ": ping", last))).choices[0].message.content, "a");
}

export async function trap_a_stream_without_a_finish_reason() {
  await assert.rejects(helped(await sent(first)));
}

export async function trap_a_call_without_its_type() {
  const call = (more) => chunk({ role: "assistant", tool_calls: [{ index: 0, id: "x", ...more, function: { name: "f", arguments: "{}" } }] });
  assert.equal((await helped(await sent(call({ type: "function" }), chunk({}, "tool_calls")))).choices[0].message.tool_calls[0].id, "x");
  await assert.rejects(helped(await sent(call({}), chunk({}, "tool_calls"))));
}

export async function trap_an_event_without_data() {
  await assert.rejects((async () => { for await (const _ of await trap("openai_ping_event").chat.completions.create({ model: "m", messages, stream: true })); })());
}

export async function chats_are_kept_where_they_say_so() {
  const { completions } = client.chat;
  const a = await chat("plain", { store: true, metadata: { case: "node", k: "v" } });
  assert.equal((await completions.retrieve(a.id)).choices[0].message.content, "Hello, wörld 🌊.");
  let id;
  for await (const piece of await chat("plain", { store: true, stream: true, metadata: { case: "node" } })) id = piece.id;
  const ids = async (query) => {
    const out = [];
    for await (const c of completions.list(query)) out.push(c.id);
    return out;
  };
  assert.deepEqual(await ids({ limit: 1, metadata: { case: "node" } }), [a.id, id]);
  assert.deepEqual(await ids({ metadata: { case: "node", k: "v" }, model: "plain" }), [a.id]);
  assert.deepEqual((await completions.update(a.id, { metadata: { k: "w" } })).metadata, { k: "w" });
  assert.equal((await completions.messages.list(a.id)).data[0].content, messages[0].content);
  assert.equal((await completions.delete(a.id)).deleted, true);
  await raises(OpenAI.NotFoundError, completions.retrieve(a.id));
}
