// What Vercel's ai package makes of the OpenAI surface, by both of its providers.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, embed, embedMany, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";
import { URL, asked, untilIdle } from "./common.mjs";

const compatible = createOpenAICompatible({ name: "galerne", baseURL: URL + "/v1", apiKey: "any", includeUsage: true, supportsStructuredOutputs: true });
const openai = createOpenAI({ baseURL: URL + "/openai/v1", apiKey: "any" });
const providers = [["chat", (m) => compatible(m)], ["responses", (m) => openai(m)], ["openai chat", (m) => openai.chat(m)]];

export async function texts_whole_and_streamed() {
  for (const [name, model] of providers) {
    const whole = await generateText({ model: model("plain"), prompt: "hi", maxRetries: 0 });
    assert.equal(whole.text, "Hello, wörld 🌊.", name);
    assert.equal(whole.finishReason, "stop", name);
    assert.equal(whole.usage.outputTokens, 3, name);
    const stream = streamText({ model: model("plain"), prompt: "hi", maxRetries: 0 });
    let text = "";
    for await (const part of stream.textStream) text += part;
    assert.equal(text, whole.text, name);
    assert.equal((await stream.usage).inputTokens, 5, name);
  }
}

export async function objects() {
  const schema = z.object({ name: z.string(), age: z.number() });
  for (const [name, model] of providers) {
    const got = await generateText({ model: model("person"), output: Output.object({ schema }), prompt: "hi", maxRetries: 0 });
    assert.deepEqual(got.output, { name: "Ann", age: 7 }, name);
    const ask = { model: model("person"), schema, prompt: "hi", maxRetries: 0 };
    assert.deepEqual((await generateObject(ask)).object, { name: "Ann", age: 7 }, name);
    assert.deepEqual(Object.keys((await asked()).Format.Schema.properties), ["name", "age"], name);
    const stream = streamObject(ask);
    for await (const _ of stream.partialObjectStream);
    assert.deepEqual(await stream.object, { name: "Ann", age: 7 }, name);
  }
}

export async function tools_in_two_steps() {
  for (const [name, model] of providers) {
    let calls = 0;
    const run = tool({ inputSchema: z.object({ city: z.string().optional() }), execute: async () => { calls++; return "sunny"; } });
    const got = await generateText({ model: model("tools"), tools: { weather: run, clock: run }, prompt: "hi", stopWhen: stepCountIs(2), maxRetries: 0 });
    assert.equal(got.steps.length, 2, name);
    assert.equal(calls, 4, name);
    assert.equal(got.steps[0].finishReason, "tool-calls", name);
    const parts = (await asked()).Messages.flatMap((m) => m.Parts).filter((p) => p.CallID);
    assert.deepEqual(parts.map((p) => [p.CallID, p.Name]), [["call_1", "weather"], ["call_2", "clock"]], name);
    const streamed = streamText({ model: model("tools"), tools: { weather: run, clock: run }, prompt: "hi", stopWhen: stepCountIs(2), maxRetries: 0 });
    const steps = await streamed.steps;
    assert.deepEqual(steps.map((s) => s.toolResults.map((r) => [r.toolName, r.output])), Array(2).fill([["weather", "sunny"], ["clock", "sunny"]]), name);
    assert.equal(calls, 8, name);
  }
}

export async function custom_tools_in_two_steps() {
  const inputs = [];
  const format = { type: "grammar", syntax: "regex", definition: "[a-z]+ .*\n" };
  const tools = {
    shell: openai.tools.customTool({ name: "shell", description: "runs a command", format, execute: async (input) => { inputs.push(input); return "a b"; } }),
    clock: tool({ inputSchema: z.object({}), execute: async () => "noon" }),
  };
  const ask = { model: openai("custom"), tools, prompt: "hi", stopWhen: stepCountIs(2), maxRetries: 0 };
  for (const store of [true, false]) { // stored, the second step names items of the first
    const kept = { ...ask, providerOptions: { openai: { store } } };
    await generateText(kept);
    await streamText(kept).consumeStream();
  }
  assert.deepEqual(inputs, Array(8).fill('ls "🌊é"\n'));
  const seen = await asked();
  const parts = seen.Messages.flatMap((m) => m.Parts).filter((p) => p.CallID);
  assert.deepEqual(parts.map((p) => [p.CallID, p.Name, p.Text]), [["call_1", "shell", "a b"], ["call_2", "clock", "noon"]]);
  assert.equal(seen.Tools[0].Schema.properties.input.pattern, "^(?:[a-z]+ .*\n)$");
}

export async function thoughts() {
  const got = await generateText({ model: compatible("thinks"), prompt: "hi", maxRetries: 0 });
  assert.equal(got.reasoningText, "Let me see.");
  assert.equal(got.text, "42");
}

export async function vectors() {
  for (const by of [compatible, openai]) {
    const model = by.textEmbeddingModel?.("m") ?? by.embeddingModel("m");
    const one = (await embed({ model, value: "one" })).embedding;
    assert.equal(one.length, 8);
    assert.deepEqual((await embedMany({ model, values: ["two", "one"] })).embeddings[1], one);
  }
}

export async function leaving_frees_the_slot() {
  const control = new AbortController();
  const stream = streamText({ model: compatible("hangs"), prompt: "hi", abortSignal: control.signal, maxRetries: 0, onError: () => {} });
  for await (const _ of stream.textStream) {
    control.abort();
    break;
  }
  await untilIdle();
}
