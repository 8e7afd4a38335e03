import { expect, test } from "vitest";
import { FALLBACK_MS } from "../src/preference.js";
import { settled } from "./support/clock.js";
import { entry, FakeStorage, harness } from "./support/harness.js";

const names = (h: ReturnType<typeof harness>) => h.links.map(({ transport }) => transport);

test("an open socket proves nothing: without system.live the next transport is tried after 8 s", async () => {
  // A hung upgrade was still CONNECTING after 20 s in Chromium, and some
  // proxies accept it, say hello even, and then let nothing through.
  const h = harness();
  h.rt.start();
  await h.clock.advance(7999);
  expect(names(h)).toEqual(["websocket"]);
  await h.clock.advance(1);
  expect(h.links[0]!.closed).toBe("coming back");
  expect(names(h)).toEqual(["websocket", "sse"]);
  h.link.hello();
  await h.clock.advance(8000);
  expect(names(h)).toEqual(["websocket", "sse", "poll"]);
  h.link.live();
  expect(h.rt.transport).toBe("poll");
  expect(h.probes).toHaveLength(2);
  expect(h.probes[0]).toContain("/v1/probe?workspace=acme");
});

test("when none works although the server is there, it waits and begins anew", async () => {
  const h = harness();
  h.rt.start();
  for (let i = 0; i < 3; i++) {
    await settled();
    h.link.end({ code: 1006 });
  }
  await settled();
  expect(h.rt.status).toBe("waiting");
  await h.clock.advance(250);
  expect(names(h)).toEqual(["websocket", "sse", "poll", "websocket"]);
});

test("a proxy's own close code before system.live is no word of the server's", async () => {
  // Some that let no WebSocket through accept it and close with 1001 or 1011,
  // which mean "come back" when the server says them.
  for (const code of [1001, 1011, 1012]) {
    const h = harness();
    h.rt.start();
    await settled();
    h.link.end({ code });
    await settled();
    expect(names(h)).toEqual(["websocket", "sse"]);
  }
});

for (const [answer, status, reason] of [
  [401, "stopped", "unauthenticated"],
  [403, "stopped", "refused"],
  [404, "stopped", "refused"],
  [413, "stopped", "refused"],
  [429, "waiting", "refused"],
  [503, "waiting", "refused"],
  [200, "waiting", "refused"], // a hotel's sign-in page
  ["unreachable", "waiting", "refused"],
] as const)
  test(`the probe's answer ${answer} leads to ${status}`, async () => {
    const h = harness();
    h.answers.probe = answer;
    h.rt.start();
    await settled();
    h.link.end({ code: 1006, reason: "refused" });
    await settled();
    expect(h.rt.status).toBe(status);
    expect(h.reasons.at(-1)).toBe(reason);
    expect(names(h)).toEqual(["websocket"]); // no reason to change the transport
    expect(h.storage.items.size).toBe(0);
  });

test("a probe that hangs is given up like everything else", async () => {
  const h = harness();
  h.answers.probe = "hangs";
  h.rt.start();
  await settled();
  h.link.end({ code: 1006 });
  await h.clock.advance(8000 + 250);
  expect(h.links).toHaveLength(2);
});

test("an answer that says enough isn't probed", async () => {
  const h = harness({}, ["sse"]);
  h.rt.start();
  await settled();
  h.link.end({ status: 503, delayMs: 3000 });
  await settled();
  expect(h.probes).toEqual([]);
  expect(h.delays.at(-1)).toBe(3250); // Retry-After is the least, and everybody has the same
});

test("a transport that has worked may fail: it is blocked when it fails three times in a row", async () => {
  const h = harness();
  await h.live();
  for (let i = 0; i < 3; i++) {
    h.link.end({ code: 1006 });
    await h.clock.advance(2000);
    if (i === 0) h.link.live(); // a flapping upgrade
  }
  expect(names(h)).toEqual(["websocket", "websocket", "websocket", "sse"]);
});

test("losses after a stable time are no failures of the transport", async () => {
  const h = harness();
  await h.live();
  for (let i = 0; i < 5; i++) {
    await h.clock.advance(10_000);
    h.link.end({ code: 1006 });
    await h.clock.advance(250); // and the backoff begins anew each time
    h.link.live();
  }
  expect(new Set(names(h))).toEqual(new Set(["websocket"]));
  expect(h.probes).toEqual([]);
});

async function fallenBack(storage = new FakeStorage()) {
  const h = harness({ storage });
  h.rt.start();
  await settled();
  h.link.end({ code: 1006 });
  await settled();
  h.link.live();
  expect(h.rt.transport).toBe("sse");
  return {
    ...h,
    storage,
    get link() {
      return h.links.at(-1)!;
    },
  };
}

/** Alive for so long: heartbeats as the server sends them. */
async function heartbeats(h: Awaited<ReturnType<typeof fallenBack>>, ms: number) {
  const link = h.link;
  for (let left = ms; left > 0; left -= 25_000) {
    await h.clock.advance(Math.min(left, 25_000));
    link.receive({ type: "system.heartbeat", id: link.position });
  }
}

test("a fallback is remembered for ten minutes, also by the next page", async () => {
  const { storage } = await fallenBack();
  const next = harness({ storage });
  await next.live();
  expect(next.rt.transport).toBe("sse");
  next.rt.close();
  storage.setItem([...storage.items.keys()][0]!, '{"name":"sse","until":1}');
  const later = harness({ storage });
  await later.live();
  expect(later.rt.transport).toBe("websocket");
  expect(storage.items.size).toBe(0);
});

test("a storage that throws, is absent or holds rubbish does no harm", async () => {
  const forbidden = () => {
    throw new DOMException("denied", "SecurityError");
  };
  const rubbish = new FakeStorage();
  rubbish.getItem = () => '{"name":"carrier pigeon","until":1e99}';
  for (const storage of [null, { getItem: forbidden, setItem: forbidden, removeItem: forbidden }, rubbish]) {
    const h = harness({ storage });
    h.rt.start();
    await settled();
    expect(h.link.transport).toBe("websocket");
    h.link.end({ code: 1006 });
    await settled();
    h.link.live();
    expect(h.rt.transport).toBe("sse");
    h.rt.close();
  }
});

test("after ten minutes WebSocket is tried beside the stream and takes over without gap or repetition", async () => {
  const h = await fallenBack();
  const sse = h.link;
  await heartbeats(h, FALLBACK_MS);
  sse.receive(entry(11));
  const ws = h.link;
  expect(ws.transport).toBe("websocket");
  expect(ws.position).toBe("e-10"); // as of when it was opened
  ws.hello();
  ws.receive(entry(11), entry(12)); // overtaking the stream
  sse.receive(entry(12));
  expect(h.rt.transport).toBe("sse"); // it has yet to prove itself
  ws.receive({ type: "system.live" });
  expect(h.rt.transport).toBe("websocket");
  expect(sse.closed).toBe("coming back");
  ws.receive(entry(12), entry(13));
  expect(h.events.filter(({ id, channel }) => id && channel).map(({ id }) => id)).toEqual(["e-11", "e-12", "e-13"]);
  expect(h.statuses).not.toContain("offline");
  expect(h.storage.items.size).toBe(0);
});

test("a retry beside the stream that fails leaves the stream alone, for another ten minutes", async () => {
  const h = await fallenBack();
  const sse = h.link;
  await heartbeats(h, FALLBACK_MS);
  const before = h.statuses.length;
  h.link.end({ code: 1006 });
  sse.receive(entry(11));
  expect(sse.closed).toBe(null);
  expect(h.statuses).toHaveLength(before);
  expect(h.links).toHaveLength(3);
  await heartbeats({ ...h, link: sse } as typeof h, FALLBACK_MS);
  expect(h.links).toHaveLength(4);
});

test("another network may let WebSocket through: online tries it beside", async () => {
  const h = await fallenBack();
  h.environment.signals!.online();
  expect(h.link.transport).toBe("websocket");
  h.link.live();
  expect(h.rt.transport).toBe("websocket");
});

test("without a WebSocket implementation it begins with SSE", async () => {
  const { createRealtime } = await import("../src/index.js");
  const asked: string[] = [];
  const rt = createRealtime({
    workspace: "acme",
    baseUrl: "http://orbit.test/prefix/",
    position: "e-1",
    WebSocket: undefined as never,
    fetch: async (url) => (asked.push(String(url)), new Response(null, { status: 401 })),
  });
  rt.start();
  await settled();
  await settled();
  expect(asked[0]).toMatch(/^http:\/\/orbit.test\/prefix\/v1\/sse\?workspace=acme&catalog=\w+&position=e-1$/);
  expect(rt.status).toBe("stopped");
});

test("a base URL's path is kept everywhere, and what is remembered is remembered for it", async () => {
  const storage = new FakeStorage();
  for (const baseUrl of ["http://orbit.test/demo/left", "http://orbit.test/demo/right/", "http://orbit.test"]) {
    const h = harness({ storage, baseUrl });
    h.rt.start();
    await settled();
    h.link.end({ code: 1006 });
    await settled();
    h.link.live();
    expect(h.link.transport, baseUrl).toBe("sse"); // not as another path's
    const root = `${baseUrl.replace(/\/$/, "")}/v1/`;
    expect(h.links.map(({ url }) => url.href.split("fake")[0])).toEqual([root, root]);
    expect(h.probes[0]!.split("probe")[0]).toBe(root);
  }
  expect(storage.items.size).toBe(3);
});

test("one that worked and hangs from now on is given up in seconds, not after a growing backoff", async () => {
  // A network that begins to swallow WebSockets: two silences of 8 s, for the
  // first may be an accident, and next to nothing between them.
  const h = harness();
  await h.live();
  await h.clock.advance(10_000);
  h.link.end({ code: 1006 }); // after a stable time: no failure of the transport
  await h.clock.advance(500);
  expect(names(h)).toEqual(["websocket", "websocket"]);
  await h.clock.advance(8000 + 500);
  expect(names(h)).toEqual(["websocket", "websocket", "websocket"]);
  await h.clock.advance(8000);
  expect(names(h)).toEqual(["websocket", "websocket", "websocket", "sse"]);
});
