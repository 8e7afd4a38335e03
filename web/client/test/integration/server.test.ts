// The client against the real server, over every transport.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import {
  createRealtime,
  poll,
  sse,
  websocket,
  type Realtime,
  type RealtimeOptions,
  type ServerEvent,
  type Transport,
} from "../../src/index.js";
import { systemClock } from "../../src/clock.js";
import { FakeBrowser } from "../support/browser.js";
import { buildServer, Server, type Person } from "../support/server.js";

let built: ReturnType<typeof buildServer>;
let server: Server;
const open: Realtime[] = [];

beforeAll(() => void (built = buildServer()), 300_000);
afterAll(() => built?.remove());
beforeEach(async () => {
  server = await Server.start(built.binary);
  // The demo's own events are on their way: the log is quiet behind a later one.
  const owner = await server.signIn("owner");
  const { rt } = page(owner, { position: (await owner.snapshot()).position });
  const { cause } = await owner.command("PATCH", "/workspaces/acme", { name: "Quiet" });
  await rt.until(cause);
  rt.close();
});
afterEach(async () => {
  for (const rt of open.splice(0)) rt.close();
  await server.remove();
});

/** A page: a client, and the log entries it was given. */
function page(person: Person, options: Partial<RealtimeOptions> = {}) {
  const rt = createRealtime({
    workspace: "acme",
    baseUrl: person.url,
    fetch: person.fetch,
    WebSocket: person.WebSocket,
    storage: null,
    ...options,
  });
  open.push(rt);
  const events: ServerEvent[] = [];
  const entries: string[] = [];
  rt.on("*", (event) => {
    events.push(event);
    if (event.id && event.channel) entries.push(event.cause);
  });
  rt.start();
  const reaches = (status: string) =>
    vi.waitFor(() => expect(rt.status).toBe(status), { timeout: 15_000, interval: 10 });
  return { rt, events, entries, reaches };
}

const until = (condition: () => unknown) =>
  vi.waitFor(() => expect(condition()).toBeTruthy(), { timeout: 15_000, interval: 10 });

describe.each<[string, Transport]>([
  ["websocket", websocket],
  ["sse", sse],
  ["poll", poll],
])("over %s", (name, transport) => {
  const transports = [transport];

  test("a change by somebody else arrives, and by oneself resolves until", async () => {
    const owner = await server.signIn("owner");
    const guest = await server.signIn("guest");
    const { position, me } = await guest.snapshot();
    const one = page(owner, { transports, position });
    const other = page(guest, { transports, position });
    await Promise.all([one.reaches("live"), other.reaches("live")]);
    expect(one.rt.transport).toBe(name);

    const { cause } = await owner.command("PATCH", `/workspaces/acme/members/${me.memberId}`, { name: "Gustav" });
    await Promise.all([one.rt.until(cause), other.rt.until(cause)]);
    expect(other.events.find(({ type }) => type === "workspace.member.updated")).toMatchObject({
      member: { name: "Gustav" },
    });
    expect(one.events.some(({ type }) => type === "system.outdated")).toBe(false);
  });

  test("begins with a snapshot", async () => {
    const owner = await server.signIn("owner");
    const rt = createRealtime({
      workspace: "acme",
      baseUrl: owner.url,
      fetch: owner.fetch,
      WebSocket: owner.WebSocket,
      transports,
    });
    open.push(rt);
    const names = new Promise<string[]>((resolve) =>
      rt.onSnapshot(({ members }) => resolve(members.map(({ name }) => name))),
    );
    rt.start();
    expect(await names).toContain("Gus Guest");
    await until(() => rt.status === "live");
  });

  test("a server that is killed and started again: no gap, no repetition", async () => {
    const owner = await server.signIn("owner");
    const { position, rooms } = await owner.snapshot();
    const room = rooms.find((r) => !r.private)!.id;
    const tab = page(owner, { transports, position, rooms: [room] });
    await tab.reaches("live");
    const said: string[] = [];
    const say = async () =>
      said.push((await owner.command("POST", `/workspaces/acme/rooms/${room}/messages`, { body: "hello" })).cause);
    for (let i = 0; i < 5; i++) await say();
    await server.kill();
    await until(() => tab.rt.status !== "live");
    await server.start();
    for (let i = 0; i < 5; i++) await say(); // while the tab may be away
    await tab.reaches("live");
    await say();
    await tab.rt.until(said.at(-1)!);
    expect(tab.entries).toEqual(said);
    expect(tab.events.filter(({ type }) => type === "system.resync")).toEqual([]);
    expect(tab.rt.transport).toBe(name);
  });

  test("a removed member learns it as the last thing, and stops", async () => {
    const owner = await server.signIn("owner");
    const guest = await server.signIn("guest");
    const { position, me } = await guest.snapshot();
    let asked = 0;
    const tab = page(guest, { transports, position, onAuthRequired: () => void asked++ });
    await tab.reaches("live");
    const { cause } = await owner.command("DELETE", `/workspaces/acme/members/${me.memberId}`);
    await owner.command("PATCH", "/workspaces/acme", { name: "Without Gus" });
    await tab.reaches("stopped");
    expect(tab.entries.at(-1)).toBe(cause); // before it, that they left their teams
    expect(asked).toBe(0); // signing in again doesn't help
  });

  test("signing out asks for signing in, and goes on at the same position", async () => {
    const owner = await server.signIn("owner");
    const first = await server.signIn("admin");
    const { position } = await first.snapshot();
    let person = first;
    const tab = page(first, {
      transports,
      position,
      fetch: (...args) => person.fetch(...args),
      // A browser's cookie changes under the page; here the class looks it up.
      WebSocket: new Proxy(first.WebSocket, { construct: (_, args: [URL, string]) => new person.WebSocket(...args) }),
      onAuthRequired: async () => {
        person = await server.signIn("admin");
        return true;
      },
    });
    await tab.reaches("live");
    await first.command("POST", "/logout");
    const { cause } = await owner.command("PATCH", "/workspaces/acme", { name: "Meanwhile" });
    await until(() => person !== first);
    await tab.rt.until(cause);
    await tab.reaches("live");
    expect(tab.entries).toEqual([cause]);
  });

  test("a room joined later brings what is said in it, and what was said since a position", async () => {
    const owner = await server.signIn("owner");
    const { position, rooms } = await owner.snapshot();
    const room = rooms.find((r) => !r.private)!.id;
    const say = async () =>
      (await owner.command("POST", `/workspaces/acme/rooms/${room}/messages`, { body: "hello" })).cause;
    const tab = page(owner, { transports, position });
    await tab.reaches("live");
    const before = await say(); // nobody here is in the room
    const renamed = await owner.command("PATCH", "/workspaces/acme", { name: "Moved on" });
    await tab.rt.until(renamed.cause);
    expect(tab.entries).toEqual([renamed.cause]);

    const handle = tab.rt.room(room, { after: position });
    await tab.rt.until(before);
    const after = await say();
    await tab.rt.until(after);
    expect(tab.entries).toEqual([renamed.cause, before, after]);
    expect(tab.rt.status).toBe("live");

    handle.close();
    await say();
    const last = await owner.command("PATCH", "/workspaces/acme", { name: "The end" });
    await tab.rt.until(last.cause);
    expect(tab.entries).toEqual([renamed.cause, before, after, last.cause]);
  });

  test("a position of another log is a resync: a snapshot, and on", async () => {
    const owner = await server.signIn("owner");
    const rt = createRealtime({
      workspace: "acme",
      baseUrl: owner.url,
      fetch: owner.fetch,
      WebSocket: owner.WebSocket,
      transports,
      position: "elsewhere-7",
    });
    open.push(rt);
    const order: string[] = [];
    rt.on("system.resync", ({ reason }) => order.push(reason));
    rt.onSnapshot(() => order.push("snapshot"));
    rt.on("workspace.updated", ({ workspace }) => order.push(workspace.name));
    rt.start();
    await until(() => rt.status === "live");
    const { cause } = await owner.command("PATCH", "/workspaces/acme", { name: "New log" });
    await rt.until(cause);
    expect(order).toEqual(["epoch_changed", "snapshot", "New log"]);
  });
});

describe.each<[string, Transport]>([
  ["websocket", websocket],
  ["sse", sse],
  ["poll", poll],
])("tabs that share %s", (name, transport) => {
  test("one connection for all, also when its tab crashes and the server is killed: no gap, no repetition", async () => {
    const owner = await server.signIn("owner");
    const { position, rooms } = await owner.snapshot();
    const room = rooms.find((r) => !r.private)!.id;
    const browser = new FakeBrowser(systemClock);
    const opened = new Set<object>();
    const tab = (options: Partial<RealtimeOptions> = {}) => {
      const tabs = browser.tab();
      const counted: Transport = {
        ...transport,
        open(request, sink) {
          const link = transport.open(request, { ...sink, end: (end) => (opened.delete(link), sink.end(end)) });
          opened.add(link);
          return { close: (leaving) => (opened.delete(link), link.close(leaving)) };
        },
      };
      const transports = [tabs.transport(counted)];
      return { tabs, ...page(owner, { share: "always", tabs, clock: tabs.clock, transports, position, ...options }) };
    };
    const shared = () => until(() => opened.size === 1);
    const pages = [tab(), tab({ rooms: [room] }), tab()];
    await Promise.all(pages.map(({ reaches }) => reaches("live")));
    await shared();

    const said: string[] = [];
    const all: string[] = [];
    const change = async () => {
      const { cause } = await owner.command("PATCH", "/workspaces/acme", { name: `Acme ${all.length}` });
      all.push(cause);
      const message = await owner.command("POST", `/workspaces/acme/rooms/${room}/messages`, { body: "hello" });
      said.push(cause, message.cause);
    };
    const expectAll = async () => {
      await until(() => pages.every(({ entries }) => entries.includes(all.at(-1)!)));
      await until(() => pages.every(({ entries }, i) => i !== 1 || entries.includes(said.at(-1)!)));
      pages.forEach(({ entries }, i) => expect(entries).toEqual(i === 1 ? said : all));
    };
    for (let i = 0; i < 3; i++) await change();
    await expectAll();

    const leader = pages.findIndex(({ tabs }) => tabs === browser.leader);
    pages[leader]!.tabs.crash();
    const gone = pages[leader]!.entries.length;
    for (let i = 0; i < 3; i++) await change();
    const left = pages.filter((_, i) => i !== leader);
    const caughtUp = () => left.every(({ entries }) => entries.includes(all.at(-1)!));
    await until(caughtUp);
    await shared();
    expect(pages[leader]!.entries).toHaveLength(gone);

    await server.kill();
    await until(() => left.every(({ rt }) => rt.status !== "live"));
    await server.start();
    await change();
    await Promise.all(left.map(({ reaches }) => reaches("live")));
    await change();
    await until(caughtUp);
    await shared();
    for (const one of left) {
      const mine = one === pages[1] ? said : all;
      await until(() => one.entries.length >= mine.length);
      expect(one.entries).toEqual(mine);
      expect(one.rt.transport).toBe(name);
    }
  });
});

test("a network that blocks WebSocket: SSE takes its place", async () => {
  const owner = await server.signIn("owner");
  class Blocked {
    onopen = null;
    onmessage = null;
    onerror = null;
    onclose: ((event: { code: number }) => void) | null = null;
    constructor() {
      queueMicrotask(() => this.onclose?.({ code: 1006 }));
    }
    send() {}
    close() {}
  }
  const tab = page(owner, { WebSocket: Blocked });
  await tab.reaches("live");
  expect(tab.rt.transport).toBe("sse");
});

test("nobody is signed in: asked once, then stopped, over the whole list of transports", async () => {
  const owner = await server.signIn("owner");
  await owner.command("POST", "/logout");
  let asked = 0;
  const tab = page(owner, { onAuthRequired: () => void asked++ });
  await tab.reaches("stopped");
  expect(asked).toBe(1);
});
