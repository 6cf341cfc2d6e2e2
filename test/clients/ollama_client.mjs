// The official JavaScript client of the Ollama API on a tour. Prints "passed" or throws.

import assert from "node:assert/strict";
import { Ollama } from "ollama";
import { all, FOREIGN, HUGE, KEY, limited, LONG, NOBODY, OPEN, raises, STRICT, until } from "./tour.mjs";

const client = new Ollama({ host: OPEN });
const options = { num_predict: 20, temperature: 0 };
const request = { model: "tiny", prompt: "Say it.", options };

// Generate and chat, whole and streamed.
const whole = await client.generate(request);
assert(whole.done && whole.done_reason === "length" && whole.eval_count === 20 && whole.total_duration > 0, JSON.stringify(whole));
const parts = await all(client.generate({ ...request, stream: true }));
assert.equal(parts.map((p) => p.response).join(""), whole.response);
assert.deepEqual(parts.at(-1).context, whole.context);
const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "Say it." }];
const chat = await client.chat({ model: "tiny", messages, options, keep_alive: "5m" });
const lines = await all(client.chat({ model: "tiny", messages, options, stream: true }));
assert.equal(lines.map((l) => l.message.content).join(""), chat.message.content);
assert((await client.chat({ model: "tiny", messages: [...messages, chat.message, { role: "user", content: "And?" }], options })).done);
assert.equal((await client.generate({ model: "tiny", prompt: "" })).done_reason, "load");

// Leaving in the middle.
const left = await client.generate({ ...request, options: { num_predict: 400 }, stream: true });
await assert.rejects(async () => { for await (const part of left) { assert(part); left.abort(); } }, { name: "AbortError" });

// Models.
const { models } = await client.list();
assert.deepEqual(models.map((m) => m.name), ["tiny:latest"]);
assert.equal((await client.ps()).models[0].name, "tiny:latest");
assert.equal((await client.show({ model: "tiny" })).model_info["llama.context_length"], 512);
assert((await client.version()).version.match(/^\d+\.\d+\.\d+$/));

// Errors. The client's type is not exported; its name is.
async function refused(change, status, says) {
  for (const stream of [false, true]) {
    const e = await raises(Error, async () => all(await client.generate({ ...request, ...change, stream }).then((r) => (stream ? r : []))), { name: "ResponseError", status_code: status });
    assert(e.message.includes(says), e.message);
  }
}
await refused({ model: "other" }, 404, "'other' not found");
await refused({ options: { temperature: -1 } }, 400, "options.temperature");
await refused({ prompt: LONG }, 400, "512 tokens");
await refused({ suffix: "there" }, 400, "suffix");
await raises(Error, () => client.show({ model: "other" }), { name: "ResponseError", status_code: 404 });
await refused({ prompt: HUGE }, 413, "bytes");
await raises(Error, () => new Ollama({ host: OPEN, headers: FOREIGN }).list(), { name: "ResponseError", status_code: 403 });
await raises(TypeError, () => new Ollama({ host: NOBODY }).list()); // fetch's own type
await raises(Error, () => client.embed({ model: "tiny", input: "hi" }), { name: "ResponseError", status_code: 400 });

// The server that wants a key.
const strict = new Ollama({ host: STRICT, headers: { Authorization: "Bearer " + KEY } });
const endless = { model: "tiny", prompt: "Go on.", options: { temperature: 0 } };
const short = () => strict.generate({ ...endless, options: { num_predict: 1 } });
await raises(Error, () => new Ollama({ host: STRICT, headers: { Authorization: "Bearer wrong" } }).list(), { name: "ResponseError", status_code: 401 });
const held = await strict.generate({ ...endless, stream: true });
await assert.rejects(async () => {
  for await (const part of held) {
    assert(part);
    await raises(Error, short, { name: "ResponseError", status_code: 503 });
    held.abort();
  }
}, { name: "AbortError" });
await until(short, Error);
const cut = await strict.generate({ ...endless, stream: true });
const e = await raises(Error, () => all(cut)); // inside the stream
assert(e.message.includes("--request-timeout"), e.message);
await until(short, Error);
await raises(Error, () => strict.generate(endless), { name: "ResponseError", status_code: 504 });
await until(short, Error);
await raises(Error, () => strict.delete({ model: "tiny" }), { name: "ResponseError", status_code: 403 });
await limited(Error, short, { name: "ResponseError", status_code: 429 });
console.log("passed");
