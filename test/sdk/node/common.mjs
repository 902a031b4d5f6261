// What the checks of every vendor share.
import assert from "node:assert/strict";
import { createServer } from "node:http";

export const URL = process.env.GALERNE_TEST_URL;
export const KEYED_URL = process.env.GALERNE_TEST_KEYED_URL; // a server whose one key is "right"

// get is the test server's answer about itself.
export const get = async (path) => (await fetch(URL + path)).json();

// stub is the address of a server that answers everything with one body: for what a client must not be sent.
export async function stub(type, body) {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": type });
    response.end(body);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return `http://127.0.0.1:${server.address().port}`;
}

// asked is the latest request, in Galerne's own words.
export const asked = () => get("/test/asked");

// untilIdle waits until no answer is under way, and fails if one still is. Looks are counted, not time: a
// machine that stands still is no fault of the server's.
export async function untilIdle(looks = 1000) {
  for (; (await get("/test/live")) !== 0 && looks > 0; looks--) await new Promise((done) => setTimeout(done, 10));
  assert.equal(await get("/test/live"), 0);
}

// raises gives the exception of a promise that must fail with it.
export async function raises(kind, promise) {
  try {
    await promise;
  } catch (e) {
    assert.ok(e instanceof kind, `${e?.constructor?.name} instead of ${kind.name}: ${e}`);
    return e;
  }
  assert.fail(`${kind.name} was not raised`);
}
