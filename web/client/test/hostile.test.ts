import { expect, test } from "vitest";
import { createRealtime, poll, type ServerEvent, sse, websocket } from "../src/index.js";
import { asEvent } from "../src/transports/event.js";
import type { WebSocketLike } from "../src/transports/transport.js";
import { FakeClock, seeded } from "./support/clock.js";
import { FakeEnvironment, FakeStorage } from "./support/harness.js";

// A proxy between us and the server may answer anything. Whatever it is, nothing
// is thrown out of the client, and its position stays a position.

const RUNS = Number(process.env.ORBIT_RUNS ?? 60);
const POSITION = /^[A-Za-z0-9]+-\d+$/;

const HELLO = `{"type":"system.hello","id":"k3f9-41","session":"s_1","workspace":{"id":"ws_1","slug":"acme"},"member":{"id":"m"},"resumed":true,"presence":[],"rooms":[],"heartbeatMs":25000,"catalog":"c"}`;
const GOOD = [
  HELLO,
  `{"type":"system.live"}`,
  `{"type":"system.heartbeat","id":"k3f9-42"}`,
  `{"type":"workspace.updated","id":"k3f9-43","channel":"workspace:ws_1","cause":"c1","workspace":{"id":"ws_1","version":2,"slug":"acme","name":"Acme"}}`,
];
const BAD = [
  "", "null", "7", "[]", "{}", `"x"`, "{", "<html>Sign in to the hotel's network</html>", "\u0000", "\ufeff",
  `{"type":null}`, `{"type":7,"id":"k3f9-99"}`, `{"id":"k3f9-99","channel":"workspace:ws_1"}`,
  `{"type":"workspace.updated","id":7,"channel":"workspace:ws_1"}`,
  `{"type":"workspace.updated","id":"nonsense","channel":"workspace:ws_1"}`,
  `{"type":"workspace.updated","id":"k3f9--1","channel":"workspace:ws_1"}`,
  `{"type":"workspace.updated","id":"k3f9-1e9","channel":"workspace:ws_1"}`,
  `{"type":"workspace.updated","id":"k3f9-99999999999999999999","channel":"workspace:ws_1"}`,
  `{"type":"workspace.updated","id":null,"channel":"workspace:ws_1"}`,
  `{"type":"workspace.updated","id":["k3f9-99"],"channel":"workspace:ws_1"}`,
  `{"type":"workspace.updated","id":"k3f9-44","channel":7}`,
  `{"type":"workspace.updated","id":"k3f9-44","channel":"workspace:ws_1","cause":{}}`,
  `{"type":"system.hello","id":"k3f9-41"}`,
  `{"type":"system.hello","id":"k3f9-41","heartbeatMs":"often"}`,
  `{"type":"system.hello","id":"k3f9-41","heartbeatMs":-1}`,
  `{"type":"system.heartbeat","id":"../../etc"}`,
  `{"type":"system.resync"}`, `{"type":"system.resync","id":{},"reason":1}`,
  `{"type":"system.goodbye"}`, `{"type":"system.goodbye","code":"x","delayMs":"soon","reconnect":"maybe"}`,
  `{"type":"system.subscribed"}`, `{"type":"system.unsubscribed","room":7}`, `{"type":"system.error"}`,
  `{"type":"system.stale"}`, `{"type":"system.healed","cause":7}`, `{"type":"presence.update"}`,
  `{"type":"__proto__"}`, `{"type":"constructor"}`, `{"__proto__":{"id":"k3f9-99"},"type":"workspace.updated"}`,
  `{"type":"not.yet.invented"}`,
];

for (const name of ["websocket", "sse", "poll"]) {
  test(`a hostile proxy before ${name} throws nothing out and leaves no position that is none`, async () => {
    const errors: unknown[] = [];
    const failed = (error: unknown) => void errors.push(error);
    process.on("uncaughtException", failed).on("unhandledRejection", failed);
    try {
      for (let seed = 1; seed <= RUNS; seed++) await attack(name, seed);
    } finally {
      process.off("uncaughtException", failed).off("unhandledRejection", failed);
    }
    expect(errors).toEqual([]);
  });
}

async function attack(name: string, seed: number): Promise<void> {
  const random = seeded(seed);
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)]!;
  const mangled = (text: string) => {
    const at = Math.floor(random() * text.length);
    return text.slice(0, at) + pick(["", "\u0000", '"', "}", "9", "\n", "\ud800"]) + text.slice(at + Math.floor(random() * 3));
  };
  const line = () => (random() < 0.5 ? pick(GOOD) : random() < 0.8 ? pick(BAD) : mangled(pick(GOOD)));
  const lines = (n: number) => [...GOOD.slice(0, Math.floor(random() * 5)), ...Array.from({ length: n }, line)];

  const answers = {
    sse: () => {
      const text = lines(6).map((l) => (random() < 0.9 ? `id: x\ndata: ${l}\n\n` : pick(["data", ":", "id: k3f9-99\n\n", "event: x\ndata: {}\n\n", "retry: -1\n\n", "\r\r\n", l]))).join("");
      const bytes = new TextEncoder().encode(text);
      const cut = Math.floor(random() * bytes.length); // perhaps within a character
      const stream = new ReadableStream<Uint8Array>({
        start(to) {
          to.enqueue(bytes.slice(0, cut));
          to.enqueue(bytes.slice(cut));
          to.close();
        },
      });
      return new Response(stream, { status: 200, headers: { "Content-Type": "text/event-stream" } });
    },
    poll: () => {
      const events = lines(4).map((l) => l || "null").join(",");
      const position = pick([`"k3f9-43"`, `"nonsense"`, "7", "null", "{}", `"k3f9-1e9"`]);
      return new Response(random() < 0.8 ? `{"position":${position},"events":[${events}]}` : line());
    },
  };
  const fetch = async (input: unknown): Promise<Response> => {
    const { pathname } = new URL(String(input));
    if (random() < 0.05) throw new TypeError("connection reset");
    if (random() < 0.1) return new Response(line(), { status: pick([200, 400, 401, 429, 502, 503]), headers: { "Retry-After": pick(["1", "-1", "soon", "1e9"]) } });
    if (pathname.endsWith("/sse")) return answers.sse();
    if (pathname.endsWith("/poll")) return answers.poll();
    return new Response(null, { status: 204 });
  };
  class HostileSocket implements Partial<WebSocketLike> {
    onmessage: ((message: { data: unknown }) => void) | null = null;
    onclose: ((close: { code: number }) => void) | null = null;
    onerror: (() => void) | null = null;
    constructor() {
      setImmediate(() => {
        for (const l of lines(6)) this.onmessage?.({ data: random() < 0.9 ? l : pick([new ArrayBuffer(3), undefined, 7, `${l}\n${l}`]) });
        this.onclose?.({ code: pick([1000, 1006, 1011, 4429, 4503, 9999, Number.NaN]) });
      });
    }
    send() {}
    close() {}
  }

  const clock = new FakeClock();
  const rt = createRealtime({
    workspace: "acme",
    baseUrl: "http://orbit.test",
    position: "k3f9-40",
    transports: [websocket, sse, poll].filter((transport) => transport.name === name),
    snapshot: async () => {
      throw new Error("not now");
    },
    fetch: fetch as typeof globalThis.fetch,
    WebSocket: HostileSocket as never,
    storage: new FakeStorage(),
    clock,
    random,
    environment: new FakeEnvironment(),
  });
  const heard: ServerEvent[] = [];
  rt.on("*", (event: ServerEvent) => void heard.push(event));
  rt.start();
  for (let i = 0; i < 12; i++) {
    await clock.advance(3000);
    if (rt.position !== null) expect(rt.position).toMatch(POSITION);
  }
  rt.close();
  for (const { id, channel } of heard) if (id && channel) expect(id).toMatch(POSITION);
}

test("an event is one with a type and, if any, a position", () => {
  for (const text of GOOD) expect(asEvent(JSON.parse(text))).toEqual(JSON.parse(text));
  expect(asEvent({ type: "not.yet.invented", id: "k3f9-0" })).toBeTruthy();
  for (const value of [null, undefined, 7, "x", [], {}, { type: 1 }, { type: "a", id: "k-01" }, { type: "a", id: "-1" }, { type: "a", id: "k-1 " }])
    expect(() => asEvent(value), JSON.stringify(value)).toThrow();
});
