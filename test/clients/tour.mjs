// What the tours of the JavaScript clients have in common; see tour.py.

import assert from "node:assert/strict";

export const [OPEN, STRICT, KEY] = process.argv.slice(2);

// More tokens than the window of the first server holds.
export const LONG = "1 2 3 ".repeat(500);

// More bytes than either takes in a body; headers of a web page that no server here lets in; an address at which nobody listens.
export const HUGE = "x".repeat(17 << 20);
export const FOREIGN = { Origin: "http://evil.example" };
export const NOBODY = "http://127.0.0.1:9";

// raises: call must throw an error of the class, with these members; returns it.
export async function raises(Class, call, want = {}) {
  let got;
  try {
    got = await call();
  } catch (e) {
    assert(e instanceof Class, `a ${e?.constructor?.name}: ${e}`);
    for (const [name, value] of Object.entries(want)) assert.deepEqual(e[name], value, `${name} of ${e}`);
    return e;
  }
  assert.fail(`no ${Class.name}, but ${JSON.stringify(got)}`);
}

// until returns what call gives once it no longer throws the class: what held the only slot has left it.
export async function until(call, Class) {
  for (let i = 0; i < 50; i++) {
    try {
      return await call();
    } catch (e) {
      if (!(e instanceof Class)) throw e;
      await new Promise((r) => setTimeout(r, 100));
    }
  }
  assert.fail("the slot stays taken");
}

// limited: call must throw the class after at most the requests that a key may send in a minute.
export async function limited(Class, call, want) {
  for (let i = 0; i < 80; i++) {
    let ok = false;
    try {
      await call();
      ok = true;
    } catch (e) {
      assert(e instanceof Class, `a ${e?.constructor?.name}: ${e}`);
      for (const [name, value] of Object.entries(want)) assert.deepEqual(e[name], value);
      return e;
    }
    assert(ok);
  }
  assert.fail("80 requests in a minute, and none too many");
}

// all collects what a stream gives.
export async function all(stream) {
  const list = [];
  for await (const item of await stream) list.push(item);
  return list;
}
