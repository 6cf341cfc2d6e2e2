// The official JavaScript client of the OpenAI API on a tour. Prints "passed" or throws.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { all, FOREIGN, HUGE, KEY, limited, LONG, NOBODY, OPEN, raises, STRICT, until } from "./tour.mjs";

const client = new OpenAI({ baseURL: OPEN + "/v1", apiKey: "none", maxRetries: 0 });
const chat = (change = {}) => client.chat.completions.create({ ...request, ...change });
const request = {
  model: "tiny",
  messages: [{ role: "system", content: "Be brief." }, { role: "user", content: [{ type: "text", text: "Say it." }] }],
  max_tokens: 20,
  temperature: 0,
};

// Chat, whole and streamed.
const { data: whole, response } = await chat().withResponse();
const text = whole.choices[0].message.content;
assert(text && whole.choices[0].finish_reason === "length" && whole.usage.completion_tokens === 20, JSON.stringify(whole));
assert.equal(whole._request_id, response.headers.get("x-request-id"));
const chunks = await all(chat({ stream: true, stream_options: { include_usage: true } }));
assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? "").join(""), text);
assert.equal(chunks[0].choices[0].delta.role, "assistant");
assert.equal(chunks.at(-1).usage.completion_tokens, 20);
const runner = client.chat.completions.stream(request);
await runner.done().catch((e) => assert(e instanceof OpenAI.OpenAIError, e)); // "length" is an error of the helper
const left = await chat({ stream: true, max_tokens: 400 });
for await (const chunk of left) { assert(chunk.id); break; }
assert.equal((await chat({ n: 2 })).choices.length, 2);
assert.equal((await chat({ stop: text[5] })).choices[0].message.content, text.slice(0, text.indexOf(text[5])));

// Completions, responses, models.
const one = await client.completions.create({ model: "tiny", prompt: "Say it.", max_tokens: 8, temperature: 0 });
const pieces = await all(client.completions.create({ model: "tiny", prompt: "Say it.", max_tokens: 8, temperature: 0, stream: true }));
assert.equal(pieces.map((p) => p.choices[0].text).join(""), one.choices[0].text);
const asked = { model: "tiny", instructions: "Be brief.", input: "Say it.", max_output_tokens: 20, temperature: 0 };
const answered = await client.responses.create(asked);
assert.equal(answered.output_text, text);
const events = await all(client.responses.create({ ...asked, stream: true }));
assert.deepEqual(events.map((e) => e.sequence_number), events.map((_, i) => i));
assert.deepEqual([events[0].type, events.at(-1).type], ["response.created", "response.incomplete"]);
assert.deepEqual((await all(client.models.list())).map((m) => m.id), ["tiny:latest"]);
assert.equal((await client.models.retrieve("tiny")).id, "tiny:latest");

// Errors, each whole and streamed.
async function refused(Class, change, want) {
  for (const stream of [false, true]) await raises(Class, () => chat({ ...change, stream }), want);
}
await refused(OpenAI.NotFoundError, { model: "other" }, { status: 404, param: "model", code: "model_not_found" });
await refused(OpenAI.BadRequestError, { messages: [] }, { status: 400, param: "messages" });
await refused(OpenAI.BadRequestError, { temperature: -1 }, { status: 400, param: "temperature" });
await refused(OpenAI.BadRequestError, { messages: [{ role: "user", content: LONG }] }, { code: "context_length_exceeded" });
await raises(OpenAI.NotFoundError, () => client.models.retrieve("other"), { status: 404 });
await refused(OpenAI.APIError, { messages: [{ role: "user", content: HUGE }] }, { status: 413, code: "request_too_large" });
await raises(OpenAI.PermissionDeniedError, () => client.models.list({ headers: FOREIGN }), { status: 403 });
await raises(OpenAI.APIConnectionError, () => new OpenAI({ baseURL: NOBODY + "/v1", apiKey: "none", maxRetries: 0 }).models.list());

// The server that wants a key.
const strict = new OpenAI({ baseURL: STRICT + "/v1", apiKey: KEY, maxRetries: 0 });
const endless = { model: "tiny", messages: [{ role: "user", content: "Go on." }], temperature: 0 };
const short = () => strict.chat.completions.create({ ...endless, max_tokens: 1 });
await raises(OpenAI.AuthenticationError, () => new OpenAI({ baseURL: STRICT + "/v1", apiKey: "wrong", maxRetries: 0 }).models.list(), { status: 401, code: "invalid_api_key" });
const held = await strict.chat.completions.create({ ...endless, stream: true });
for await (const chunk of held) {
  assert(chunk.id);
  const e = await raises(OpenAI.InternalServerError, short, { status: 503, code: "overloaded" });
  assert(Number(e.headers.get("retry-after")) > 0);
  break;
}
await until(short, OpenAI.InternalServerError);
const cut = await strict.chat.completions.create({ ...endless, stream: true });
await raises(OpenAI.APIError, () => all(cut), { code: "request_timeout" }); // inside the stream
await until(short, OpenAI.InternalServerError);
await raises(OpenAI.InternalServerError, () => strict.chat.completions.create(endless), { status: 504, code: "request_timeout" });
await until(short, OpenAI.InternalServerError);
await raises(OpenAI.APIConnectionTimeoutError, () => strict.chat.completions.create(endless, { timeout: 300 }));
await until(short, OpenAI.InternalServerError);
await raises(OpenAI.APIUserAbortError, () => strict.chat.completions.create(endless, { signal: AbortSignal.timeout(300) }));
await until(short, OpenAI.InternalServerError);
await limited(OpenAI.RateLimitError, short, { status: 429, code: "rate_limit_exceeded" });
console.log("passed");
