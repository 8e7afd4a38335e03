// The transports themselves, each against a platform that the test plays.
import { expect, test, vi } from "vitest";
import { browserEnvironment } from "../src/environment.js";
import {
  poll,
  sse,
  websocket,
  type End,
  type Link,
  type OpenRequest,
  type ServerEvent,
  type Transport,
} from "../src/index.js";
import { settled } from "./support/clock.js";

const heartbeat = (offset: number) => ({ type: "system.heartbeat", id: `e-${offset}` });

function opened(transport: Transport, tools: Partial<OpenRequest>) {
  const events: ServerEvent[] = [];
  const ends: End[] = [];
  let alive = 0;
  let link: Link | null = null;
  const request = {
    fetch: () => Promise.reject(new Error("no fetch here")),
    WebSocket: undefined,
    url: (path: string, extra = {}) =>
      new URL(`https://orbit.test/v1/${path}?${new URLSearchParams({ position: "e-1", ...extra })}`),
    ...tools,
  };
  link = transport.open(request, {
    alive: () => void alive++,
    receive: (batch) => void events.push(...batch),
    end: (end) => void ends.push(end),
  });
  return { link, events, ends, alive: () => alive, ids: () => events.map(({ id }) => id) };
}

class FakeSocket {
  static last: FakeSocket;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: (() => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closed: number | undefined;
  sent: string[] = [];
  constructor(
    readonly url: URL,
    readonly protocol: string,
  ) {
    FakeSocket.last = this;
  }
  send(data: string) {
    this.sent.push(data);
  }
  close(code?: number) {
    this.closed = code;
  }
}

test("websocket: a message is one or more events, a line each", () => {
  const h = opened(websocket, { WebSocket: FakeSocket });
  const socket = FakeSocket.last;
  expect(socket.url.href).toBe("wss://orbit.test/v1/ws?position=e-1");
  expect(socket.protocol).toBe("orbit.v1");
  socket.onmessage!({ data: `${JSON.stringify(heartbeat(2))}\n${JSON.stringify(heartbeat(3))}\n` });
  expect(h.ids()).toEqual(["e-2", "e-3"]);
  h.link.send!({ type: "unsubscribe", room: "r", ref: 1 });
  expect(socket.sent).toEqual(['{"type":"unsubscribe","room":"r","ref":1}']);
  socket.onclose!({ code: 4503 });
  expect(h.ends).toMatchObject([{ code: 4503 }]);
});

test("websocket: leaving is said by the code, and nothing is heard after a close", () => {
  for (const [leaving, code] of [
    [true, 1000],
    [false, 4000], // not a clean leave: presence doesn't flicker
  ] as const) {
    const h = opened(websocket, { WebSocket: FakeSocket });
    h.link.close(leaving);
    expect(FakeSocket.last.closed).toBe(code);
    expect(FakeSocket.last.onmessage).toBe(null);
    expect(FakeSocket.last.onclose).toBe(null);
    // `ws` throws an error that nobody listens to, as for a close during the handshake.
    expect(FakeSocket.last.onerror).not.toBe(null);
  }
});

test("websocket: what isn't an event ends the link, rather than losing what came with it", () => {
  let ended = 0;
  websocket.open(
    { fetch: () => Promise.reject(new Error("no fetch here")), WebSocket: FakeSocket, url: () => new URL("http://o.test") },
    {
      alive: () => {},
      receive: (events) => events.forEach(({ type }) => type), // as a client reads them
      end: () => void ended++,
    },
  );
  FakeSocket.last.onmessage!({ data: `null\n${JSON.stringify(heartbeat(2))}` });
  expect(ended).toBe(1);
  expect(FakeSocket.last.closed).toBe(4000);
});

test("websocket: what isn't JSON, and a constructor that throws, end the link", async () => {
  const h = opened(websocket, { WebSocket: FakeSocket });
  FakeSocket.last.onmessage!({ data: "<html>" });
  expect(h.ends).toHaveLength(1);
  expect(FakeSocket.last.closed).toBe(4000);

  class Forbidden extends FakeSocket {
    constructor(url: URL, protocol: string) {
      super(url, protocol);
      throw new DOMException("insecure", "SecurityError");
    }
  }
  const forbidden = opened(websocket, { WebSocket: Forbidden });
  expect(forbidden.ends).toEqual([]); // not before open has returned
  await settled();
  expect(forbidden.ends).toHaveLength(1);
});

function streaming(headers: Record<string, string> = { "Content-Type": "text/event-stream; charset=utf-8" }) {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (c) => void (controller = c),
    cancel: () => void (cancelled = true),
  });
  return {
    fetch: async () => new Response(body, { headers }),
    bytes: async (bytes: Uint8Array) => {
      controller.enqueue(bytes);
      await settled();
    },
    end: () => controller.close(),
    cancelled: () => cancelled,
  };
}

test("sse: events are found whatever pieces they come in, also within a letter", async () => {
  const stream = streaming();
  const h = opened(sse, stream);
  const text = `retry: 2000\n\nid: e-2\ndata: ${JSON.stringify({ ...heartbeat(2), note: "Zoë" })}\n\n`;
  for (const byte of new TextEncoder().encode(text)) await stream.bytes(Uint8Array.of(byte));
  expect(h.events).toEqual([{ ...heartbeat(2), note: "Zoë" }]);
  expect(h.alive()).toBeGreaterThan(text.length); // comments and pieces count as life
  stream.end();
  await settled();
  expect(h.ends).toEqual([{ reason: "the stream ended" }]);
});

test("sse: closing ends the request, and nothing is told anymore", async () => {
  let aborted: AbortSignal | null | undefined;
  const stream = streaming();
  const h = opened(sse, { fetch: (_, init) => ((aborted = init?.signal), stream.fetch()) });
  await settled();
  h.link.close(false);
  expect(aborted?.aborted).toBe(true);
  stream.end();
  await settled();
  expect(h.ends).toEqual([]);
});

test("sse: what isn't an event stream, and what isn't JSON in one, end it", async () => {
  const page = opened(sse, streaming({ "Content-Type": "text/html" }));
  await settled();
  expect(page.ends).toEqual([{ reason: "not an event stream" }]);
  const stream = streaming();
  const h = opened(sse, stream);
  await settled();
  await stream.bytes(new TextEncoder().encode("data: <html>\n\n"));
  expect(h.ends).toHaveLength(1);
  expect(stream.cancelled()).toBe(true);
});

test("sse and poll: a refusal tells its status and when to come back", async () => {
  for (const transport of [sse, poll]) {
    const h = opened(transport, {
      fetch: async () => new Response(null, { status: 503, headers: { "Retry-After": "2" } }),
    });
    await settled();
    expect(h.ends).toEqual([{ status: 503, delayMs: 2000, reason: "HTTP 503" }]);
    const dated = opened(transport, {
      fetch: async () =>
        new Response(null, { status: 429, headers: { "Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT" } }),
    });
    await settled();
    expect(dated.ends).toEqual([{ status: 429, reason: "HTTP 429" }]);
  }
});

test("poll: goes on with its session and the position it was given", async () => {
  const urls: string[] = [];
  const answers = [
    { position: "e-2", events: [{ type: "system.hello", id: "e-2", session: "s_1" }] },
    { position: "e-4", events: [heartbeat(3)] },
    // Its lease ran out while the machine slept: a session of its own begins.
    { position: "e-5", events: [{ type: "system.hello", id: "e-4", session: "s_2" }, heartbeat(5)] },
  ];
  const h = opened(poll, {
    fetch: (url) => {
      urls.push(String(url).split("?")[1]!);
      const answer = answers[urls.length - 1];
      return answer ? Promise.resolve(Response.json(answer)) : new Promise(() => {});
    },
  });
  await vi.waitFor(() => expect(urls).toHaveLength(4));
  expect(urls).toEqual([
    "position=e-1",
    "position=e-2&session=s_1",
    "position=e-4&session=s_1",
    "position=e-5&session=s_2",
  ]);
  expect(h.ids()).toEqual(["e-2", "e-3", "e-4", "e-5"]);
});

test("poll: an answer without events isn't asked for again and again", async () => {
  const fetch = vi.fn(async () => Response.json({ position: "e-1", events: [] }));
  const h = opened(poll, { fetch });
  await settled();
  await settled();
  expect(fetch).toHaveBeenCalledTimes(1);
  expect(h.ends).toHaveLength(1);
});

test("poll: a close while listeners run stops it", async () => {
  const fetch = vi.fn(async () => Response.json({ position: "e-2", events: [heartbeat(2)] }));
  let link: Link | null = null;
  link = poll.open(
    { fetch, WebSocket: undefined, url: () => new URL("https://orbit.test") },
    {
      alive: () => {},
      receive: () => link?.close(false),
      end: () => expect.unreachable(),
    },
  );
  await settled();
  await settled();
  expect(fetch).toHaveBeenCalledTimes(1);
});

test("the browser's signals", () => {
  const page = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  vi.stubGlobal("document", document);
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
  const heard: string[] = [];
  const signal = (name: string) => () => void heard.push(name);
  const stop = browserEnvironment.listen({
    online: signal("online"),
    wake: signal("wake"),
    hide: signal("hide"),
    show: signal("show"),
  });
  const fire = () => {
    for (const type of ["online", "pagehide", "pageshow"]) page.dispatchEvent(new Event(type));
    document.dispatchEvent(new Event("visibilitychange"));
  };
  const freeze = () => {
    for (const type of ["freeze", "resume"]) document.dispatchEvent(new Event(type));
  };
  fire();
  expect(heard).toEqual(["online", "hide", "show"]); // hidden: nothing to wake for
  document.visibilityState = "visible";
  fire();
  expect(heard.at(-1)).toBe("wake");
  freeze();
  expect(heard.slice(7)).toEqual(["hide", "show"]);
  stop();
  fire();
  freeze();
  expect(heard).toHaveLength(9);
  vi.stubGlobal("navigator", { onLine: false });
  expect(browserEnvironment.online()).toBe(false);
  vi.unstubAllGlobals();
  expect(browserEnvironment.online()).toBe(true);
  expect(browserEnvironment.listen({ online() {}, wake() {}, hide() {}, show() {} })).toBeTypeOf("function");
});
