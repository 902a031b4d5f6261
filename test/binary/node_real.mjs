// The official clients for Node against real models, at GALERNE_TEST_URL.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { Mistral } from "@mistralai/mistralai";
import { embed, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { CohereClientV2 } from "cohere-ai";
import { Ollama } from "ollama";
import OpenAI from "openai";
import Replicate from "replicate";
import { z } from "zod";

const URL = process.env.GALERNE_TEST_URL;
const SMALL = "smollm2-135m", CODER = "qwen2.5-coder-0.5b", VECTORS = "all-minilm-l6-v2";
const STORY = "Tell me a story about a wind, with é, 日本 and 🎉.";
const WEATHER = "What is the weather in Brest? Use the tool.";
const messages = [{ role: "user", content: STORY }];
const weather = { name: "get_weather", description: "The weather of a city.", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } };
const near = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const SEA = ["a storm at sea", "gale over the ocean", "the price of bread"];

const openai = new OpenAI({ baseURL: URL + "/v1", apiKey: "any", maxRetries: 0 });

export async function openai_chats() {
  const ask = { model: SMALL, messages, temperature: 0, max_tokens: 60 };
  const whole = await openai.chat.completions.create(ask);
  const final = await openai.chat.completions.stream(ask).finalChatCompletion();
  assert.equal(final.choices[0].message.content, whole.choices[0].message.content);
  assert.equal(final.choices[0].finish_reason, "length");
  const called = await openai.chat.completions.stream({ model: CODER, messages: [{ role: "user", content: WEATHER }], tools: [{ type: "function", function: weather }],
    tool_choice: "required", temperature: 0, max_tokens: 60 }).finalChatCompletion();
  assert.match(JSON.parse(called.choices[0].message.tool_calls[0].function.arguments).city, /Brest/);
}

export async function openai_vectors() {
  const byDefault = await openai.embeddings.create({ model: VECTORS, input: SEA });
  const floats = await openai.embeddings.create({ model: VECTORS, input: SEA, encoding_format: "float" });
  const [a, b, c] = byDefault.data.map((d) => d.embedding);
  assert.equal(a.length, 384);
  assert.ok(near(a, b) > near(a, c) + 0.2);
  byDefault.data.forEach((d, i) => d.embedding.forEach((x, j) => assert.ok(Math.abs(x - floats.data[i].embedding[j]) < 1e-6)));
}

export async function openai_responses() {
  const ask = { model: SMALL, input: STORY, temperature: 0, max_output_tokens: 40 };
  const whole = await openai.responses.create(ask);
  const numbers = [];
  const stream = openai.responses.stream(ask);
  for await (const e of stream) numbers.push(e.sequence_number);
  assert.equal((await stream.finalResponse()).output_text, whole.output_text);
  assert.deepEqual(numbers, numbers.map((_, i) => i));
}

// running is how many answers are under way.
const running = async () => Number((await (await fetch(URL + "/metrics")).text()).match(/^galerne_sequences_running\{.*smollm2.*\} (\d+)/m)?.[1] ?? 0);

export async function openai_who_leaves_frees_the_slot() {
  for (const stream of [true, false]) {
    const left = new AbortController();
    const answer = (async () => {
      const got = await openai.chat.completions.create({ model: SMALL, messages, max_tokens: 4000, stream, temperature: 0, ignore_eos: true }, { signal: left.signal });
      if (stream) for await (const _ of got);
    })();
    while ((await running()) === 0) await new Promise((done) => setTimeout(done, 5));
    left.abort();
    await answer.catch(() => {});
    for (let looks = 100; (await running()) !== 0; looks--) {
      assert.ok(looks > 0, "the answer goes on");
      await new Promise((done) => setTimeout(done, 10));
    }
  }
}

export async function ai_by_both_providers() {
  const compatible = createOpenAICompatible({ name: "galerne", baseURL: URL + "/v1", apiKey: "any", includeUsage: true, supportsStructuredOutputs: true });
  const responses = createOpenAI({ baseURL: URL + "/openai/v1", apiKey: "any" });
  for (const provider of [compatible, responses]) {
    const ask = { model: provider(SMALL), prompt: STORY, temperature: 0, maxOutputTokens: 40, maxRetries: 0 };
    const whole = await generateText(ask);
    const stream = streamText(ask);
    assert.equal(await stream.text, whole.text);
    assert.equal((await stream.usage).outputTokens, 40);
    const schema = z.object({ city: z.enum(["Paris", "Brest"]), large: z.boolean() });
    const { object } = await generateObject({ ...ask, schema, prompt: "The capital of France, as JSON." });
    assert.ok(schema.safeParse(object).success);
    const cities = [];
    const run = tool({ description: weather.description, inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => { cities.push(city); return "storm, 9 degrees"; } });
    const answer = await generateText({ ...ask, model: provider(CODER), prompt: WEATHER, tools: { get_weather: run }, stopWhen: stepCountIs(2), maxOutputTokens: 60,
      prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }) });
    assert.match(cities[0], /Brest/);
    assert.equal(answer.steps.length, 2);
    assert.match(answer.text, /storm|9/i);
    const model = provider.textEmbeddingModel?.(VECTORS) ?? provider.embeddingModel(VECTORS);
    assert.equal((await embed({ model, value: SEA[0] })).embedding.length, 384);
  }
}

export async function anthropic_messages() {
  const client = new Anthropic({ baseURL: URL, apiKey: "any", maxRetries: 0 });
  const ask = { model: SMALL, messages, max_tokens: 60, temperature: 0 };
  const whole = await client.messages.create(ask);
  const streamed = await client.messages.stream(ask).finalMessage();
  assert.equal(streamed.content[0].text, whole.content[0].text);
  assert.equal(streamed.stop_reason, "max_tokens");
  const used = (u) => u.input_tokens + u.cache_read_input_tokens;
  assert.equal((await client.messages.countTokens({ model: SMALL, messages })).input_tokens, used(whole.usage));
  const tools = [{ name: weather.name, description: weather.description, input_schema: weather.parameters }];
  const m = await client.messages.stream({ model: CODER, messages: [{ role: "user", content: WEATHER }], tools, tool_choice: { type: "any" }, max_tokens: 60, temperature: 0 }).finalMessage();
  assert.equal(typeof m.content.find((b) => b.type === "tool_use").input.city, "string");
}

export async function mistral_chats_and_fills() {
  const client = new Mistral({ serverURL: URL, apiKey: "any" });
  const ask = { model: SMALL, messages, temperature: 0, maxTokens: 60 };
  const whole = await client.chat.complete(ask);
  let text = "";
  for await (const { data } of await client.chat.stream(ask)) text += data.choices[0].delta.content;
  assert.equal(text, whole.choices[0].message.content);
  const filled = await client.fim.complete({ model: CODER, prompt: "def add(a, b):\n    return", suffix: "\n", maxTokens: 8, temperature: 0 });
  assert.match(filled.choices[0].message.content, /^ a \+ b/);
  const [a, b, c] = (await client.embeddings.create({ model: VECTORS, inputs: SEA })).data.map((d) => d.embedding);
  assert.ok(near(a, b) > near(a, c) + 0.2);
}

export async function cohere_cites_and_ranks() {
  const client = new CohereClientV2({ baseUrl: URL, environment: URL, token: "any" });
  const ask = { model: CODER, messages: [{ role: "user", content: "How high is the Phare du Créac'h?" }], maxTokens: 60, temperature: 0,
    documents: ["The Phare du Créac'h stands on Ouessant and is 54 metres high.", { id: "other", data: { title: "Bread", snippet: "Flour, water, salt." }}] };
  const { message } = await client.chat(ask);
  const characters = Array.from(message.content[0].text);
  assert.ok(message.citations.some((c) => c.text.includes("54") && c.sources.every((s) => s.id === "doc:0")));
  for (const c of message.citations) assert.equal(characters.slice(c.start, c.end).join(""), c.text);
  let text = "";
  for await (const e of await client.chatStream(ask)) if (e.type === "content-delta") text += e.delta.message.content.text;
  assert.equal(text, message.content[0].text);
  const ranked = await client.rerank({ model: VECTORS, query: SEA[0], documents: SEA.slice(1).reverse(), topN: 1 });
  assert.deepEqual(ranked.results.map((r) => r.index), [1]);
}

export async function ollama_chats() {
  const client = new Ollama({ host: URL });
  const ask = { model: SMALL, messages, options: { temperature: 0, num_predict: 40 } };
  const whole = await client.chat(ask);
  let text = "";
  for await (const part of await client.chat({ ...ask, stream: true })) text += part.message.content;
  assert.equal(text, whole.message.content);
}

export async function replicate_runs() {
  const client = new Replicate({ auth: "any", baseUrl: URL + "/v1", useFileOutput: false });
  const input = { prompt: STORY, temperature: 0, max_tokens: 60 };
  const whole = (await client.run("galerne/" + SMALL, { input })).join("");
  let text = "";
  for await (const e of client.stream("galerne/" + SMALL, { input })) if (e.event === "output") text += e.data;
  assert.ok(whole.length > 50);
  assert.equal(text, whole);
}
