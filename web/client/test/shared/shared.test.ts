// One connection for all tabs of a person: each test plays the server to several of them.
import { expect, test } from "vitest";
import type { RealtimeOptions } from "../../src/index.js";
import "../../src/shared/shared.js"; // loaded: the fake clock doesn't wait for files
import { FakeBrowser } from "../support/browser.js";
import { FakeClock, settled } from "../support/clock.js";
import { entry, FakeEnvironment, harness, snapshotAt } from "../support/harness.js";

const heartbeat = (offset: number) => ({ type: "system.heartbeat", id: `e-${offset}` });

function chromium() {
  const clock = new FakeClock();
  const browser = new FakeBrowser(clock);

  /** A tab with a client, not started. */
  function tab(options: Partial<RealtimeOptions> = {}, names = ["sse"], within = browser.tab()) {
    const environment = new FakeEnvironment();
    const h = harness({ tabs: within, clock: within.clock, environment, ...options }, names);
    return {
      ...h,
      tab: within,
      signals: () => environment.signals!,
      get open() {
        return h.links.filter(({ closed }) => closed === null);
      },
      get offsets() {
        return h.events.filter((event) => event.id && event.channel).map((event) => Number(event.id!.split("-")[1]));
      },
      get link() {
        return h.links.at(-1)!;
      },
    };
  }

  /** Lets it connect; the server says hello and live to its own stream. */
  async function connect<T extends ReturnType<typeof tab>>(page: T, hello: object = {}): Promise<T> {
    page.rt.start();
    await clock.advance(5);
    page.link.live({ ...hello });
    await clock.advance(5);
    return page;
  }

  const connected = (options?: Partial<RealtimeOptions>, names?: string[]) => connect(tab(options, names));
  return { clock, browser, tab, connect, connected };
}

test("the second tab makes up for what it missed by itself, and then closes its stream", async () => {
  const { browser, clock, connected, tab } = chromium();
  const first = await connected();
  const second = tab({ position: "e-8" });
  second.rt.start();
  await clock.advance(5);
  expect(second.link.position).toBe("e-8");
  second.link.hello();
  second.link.receive(entry(9), entry(10), { type: "system.live" });
  await clock.advance(5);
  expect(second.link.closed).toBe("coming back");
  expect(second.rt.status).toBe("live");
  first.link.receive(entry(11), entry(12));
  await clock.advance(5);
  expect(first.offsets).toEqual([11, 12]);
  expect(second.offsets).toEqual([9, 10, 11, 12]);
  expect(second.replayed.slice(-2)).toEqual([false, false]);
  expect(first.open).toHaveLength(1);
  expect(browser.leader).toBe(first.tab);
});

test("an entry that comes while a tab joins is given to it once", async () => {
  const { clock, connected, tab } = chromium();
  const first = await connected();
  const second = tab();
  second.rt.start();
  await clock.advance(5);
  second.link.live();
  first.link.receive(entry(11)); // its join is on its way
  second.link.receive(entry(11), entry(12)); // and its own stream is ahead
  await clock.advance(5);
  first.link.receive(entry(12), entry(13));
  await clock.advance(5);
  expect(second.link.closed).toBe("coming back");
  expect(second.offsets).toEqual([11, 12, 13]);
});

test("a tab with a room makes the leader's stream wider, and nobody else hears the room", async () => {
  const { clock, connected } = chromium();
  const first = await connected();
  const second = await connected({ rooms: ["r1"] });
  const wider = first.links[1]!;
  expect(wider.rooms).toEqual(["r1"]);
  expect(wider.position).toBe("e-10");
  expect(second.open).toHaveLength(1); // until it is live
  first.links[0]!.receive(entry(11));
  second.link.receive(entry(11), entry(12, "room:r1"));
  wider.hello();
  wider.receive(entry(11), entry(12, "room:r1"), { type: "system.live" });
  await clock.advance(5);
  expect(first.links[0]!.closed).toBe("coming back");
  expect(second.open).toHaveLength(0);
  wider.receive(entry(13, "room:r1"), entry(14));
  await clock.advance(5);
  expect(first.offsets).toEqual([11, 14]);
  expect(second.offsets).toEqual([11, 12, 13, 14]);
});

test("a room opened by the leader doesn't make another tab the leader", async () => {
  const { browser, clock, connected } = chromium();
  const first = await connected();
  const second = await connected();
  first.rt.room("r1");
  await clock.advance(30);
  first.link.live(); // its own, for what the room missed
  await clock.advance(5);
  first.link.live(); // the wider one
  await clock.advance(5);
  expect(first.open.map(({ rooms }) => rooms)).toEqual([["r1"]]);
  expect(browser.leader).toBe(first.tab);
  expect(second.links).toHaveLength(1);
  first.open[0]!.receive(entry(11, "room:r1"), entry(12));
  await clock.advance(5);
  expect(first.offsets).toEqual([11, 12]);
  expect(second.offsets).toEqual([12]);
});

test("a wider stream that fails leaves everything as it was; the tab tries again with the next heartbeat", async () => {
  const { clock, connected } = chromium();
  const first = await connected();
  const second = await connected({ rooms: ["r1"] });
  first.links[1]!.end({ status: 503 });
  await clock.advance(5);
  expect(first.links[0]!.closed).toBe(null);
  expect(second.open).toHaveLength(1);
  second.link.receive(entry(11, "room:r1"), heartbeat(12));
  await clock.advance(5);
  first.links[2]!.live();
  await clock.advance(5);
  expect(second.open).toHaveLength(0);
  expect(first.open).toEqual([first.links[2]]);
});

for (const how of ["closes", "crashes", "hides"] as const)
  test(`a leader that ${how}: another tab goes on at its place, unseen by the page`, async () => {
    const { browser, clock, connected } = chromium();
    const first = await connected();
    const others = [await connected(), await connected()];
    first.link.receive(entry(11));
    await clock.advance(5);
    const before = others.map(({ statuses }) => statuses.length);
    if (how === "closes") first.rt.close();
    else if (how === "crashes") first.tab.crash();
    else first.signals().hide();
    await clock.advance(5);
    // Not as somebody who leaves: they are still here.
    if (how !== "crashes") expect(first.link.closed).toBe("coming back");
    const [second, third] = others as [(typeof others)[0], (typeof others)[0]];
    expect(browser.leader).toBe(second.tab);
    expect(second.link.position).toBe("e-11");
    second.link.hello();
    second.link.receive(entry(12), { type: "system.live" }, entry(13));
    await clock.advance(5);
    for (const { offsets } of others) expect(offsets).toEqual([11, 12, 13]);
    expect(third.links).toHaveLength(1);
    others.forEach(({ statuses }, i) => expect(new Set(statuses.slice(before[i]))).toEqual(new Set(["live"])));
  });

test("a tab that hid, and comes back, follows whoever leads now", async () => {
  const { clock, connected } = chromium();
  const first = await connected();
  const second = await connected();
  first.signals().hide();
  await clock.advance(5);
  second.link.live();
  first.signals().show();
  await clock.advance(5);
  first.link.live();
  await clock.advance(5);
  expect(first.open).toHaveLength(0);
  second.link.receive(entry(11));
  await clock.advance(5);
  expect(first.offsets).toEqual([11]);
});

test("the last tab leaves for good", async () => {
  const { browser, clock, connected } = chromium();
  const page = await connected();
  page.rt.close();
  await clock.advance(5);
  expect(page.link.closed).toBe("leaving");
  expect(browser.held.size + browser.channels.size + page.tab.timers.size).toBe(0);
});

test("a frozen leader is replaced: by silence, or as soon as somebody looks at another tab", async () => {
  for (const how of ["silence", "wake"] as const) {
    const { browser, clock, connected } = chromium();
    const first = await connected();
    const second = await connected();
    first.tab.freeze();
    first.link.receive(entry(11));
    if (how === "wake") second.signals().wake();
    else await clock.advance(37_500 + 250);
    if (how === "silence") {
      second.link.hello();
      second.link.receive(entry(11), { type: "system.live" });
    }
    await clock.advance(3000 + 5);
    expect(browser.leader).toBe(second.tab);
    if (how === "wake") {
      second.link.hello();
      second.link.receive(entry(11), { type: "system.live" });
    }
    expect(second.open).toHaveLength(1);
    // It thaws, and finds that it follows; or first, that its stream was silent for too long.
    first.tab.thaw();
    await clock.advance(300);
    if (how === "silence") first.link.live();
    await clock.advance(5);
    expect(first.open).toHaveLength(0);
    second.link.receive(entry(12));
    await clock.advance(5);
    expect(first.offsets).toEqual([11, 12]);
    expect(second.offsets).toEqual([11, 12]);
  }
});

test("a leader that answers isn't replaced when somebody looks at another tab", async () => {
  const { browser, clock, connected } = chromium();
  const first = await connected();
  const second = await connected();
  second.signals().wake();
  await clock.advance(5000);
  expect(browser.leader).toBe(first.tab);
  expect(second.tab.timers.size).toBe(1); // the watchdog
});

test("nobody joins a stream that is dead by the clock, though the leader's timers haven't noticed", async () => {
  const { browser, clock, tab, connect, connected } = chromium();
  const first = await connected();
  clock.sleep(40_000);
  const second = await connect(tab());
  expect(first.rt.status).toBe("waiting");
  expect(browser.leader).toBe(second.tab);
  expect(second.open).toHaveLength(1);
});

for (const [code, status] of [
  [4403, "stopped"],
  [4401, "stopped"],
  [4503, "waiting"],
] as const)
  test(`a goodbye ${code} is for all tabs`, async () => {
    const { clock, connected } = chromium();
    const first = await connected();
    const second = await connected();
    first.link.receive(entry(11), {
      type: "system.goodbye",
      code,
      reason: "r",
      reconnect: code === 4503,
      delayMs: code === 4503 ? 1800 : 0,
    });
    await clock.advance(5);
    for (const page of [first, second]) {
      expect(page.rt.status).toBe(status);
      expect(page.offsets).toEqual([11]);
      if (code === 4503) expect(page.delays.at(-1)).toBe(1800);
    }
  });

test("a refusal of the stream that should go on is for all tabs, too", async () => {
  const { clock, connected } = chromium();
  const first = await connected();
  const others = [await connected(), await connected()];
  first.rt.close();
  await clock.advance(5);
  others[0]!.link.end({ status: 401 });
  await clock.advance(5);
  others[1]!.link.end({ status: 401 }); // it hadn't followed yet, and asks for itself
  await clock.advance(5);
  for (const { rt } of others) expect(rt.status).toBe("stopped");
});

test("two people in one browser have a stream each", async () => {
  const { browser, clock, tab, connect } = chromium();
  const ada = await connect(tab());
  const bob = await connect(tab(), { member: { id: "mem_2" } });
  expect(browser.held.size).toBe(2);
  ada.link.receive(entry(11, "member:mem_1"));
  bob.link.receive(entry(12, "member:mem_2"));
  await clock.advance(5);
  expect(ada.offsets).toEqual([11]);
  expect(bob.offsets).toEqual([12]);
});

test("whoever signs in as somebody else isn't given the stream of the one before, nor the other way round", async () => {
  const { clock, tab, connect } = chromium();
  const snapshot = async () => snapshotAt("e-20");
  const first = await connect(tab());
  const second = tab({ snapshot });
  const snapshots: string[] = [];
  second.rt.onSnapshot(({ position }) => snapshots.push(position));
  await connect(second);
  first.rt.close();
  await clock.advance(5);
  second.link.live({ member: { id: "mem_2" } }); // the cookie has changed meanwhile
  second.link.receive(entry(11, "member:mem_2"));
  await clock.advance(300);
  expect(second.offsets).toEqual([]);
  second.link.live({ member: { id: "mem_2" } });
  await clock.advance(5);
  expect(snapshots).toEqual(["e-20"]);
});

test("servers, paths and workspaces don't mix", async () => {
  const { browser, connected } = chromium();
  await connected({ baseUrl: "http://orbit.test/demo/left" });
  await connected({ baseUrl: "http://orbit.test/demo/right/" });
  await connected({ workspace: "globex" });
  await connected();
  expect(browser.held.size).toBe(4);
});

test("auto: SSE and poll; always: WebSocket too; never, and where tabs have nothing in common: none", async () => {
  for (const [options, names, held] of [
    [{}, ["sse"], 1],
    [{}, ["poll"], 1],
    [{}, ["websocket"], 0],
    [{ share: "always" }, ["websocket"], 1],
    [{ share: "never" }, ["sse"], 0],
    [{ tabs: null }, ["sse"], 0],
  ] as const) {
    const { browser, connected } = chromium();
    const page = await connected(options, [...names]);
    expect(page.rt.status).toBe("live");
    expect(browser.held.size, JSON.stringify([options, names])).toBe(held);
  }
});

test("two clients of one page share as well", async () => {
  const { clock, tab, connect } = chromium();
  const first = await connect(tab());
  const second = await connect(tab({}, ["sse"], first.tab));
  expect(second.open).toHaveLength(0);
  first.link.receive(entry(11));
  await clock.advance(5);
  expect(second.offsets).toEqual([11]);
});

test("a tab that joins sees who is online as of now", async () => {
  const { clock, connected } = chromium();
  const first = await connected();
  const presence = (memberId: string, online: boolean) => ({
    type: "presence.update",
    channel: "workspace:ws_1",
    memberId,
    online,
  });
  first.link.receive(presence("mem_2", true), presence("mem_3", true), presence("mem_2", false));
  const second = await connected(); // the hello of its own stream may be older
  await clock.advance(5);
  const hellos = second.events.filter(({ type }) => type === "system.hello");
  expect(hellos.at(-1)).toMatchObject({ presence: ["mem_3"] });
});

test("more rooms than one connection may have: the tab keeps its own", async () => {
  const { clock, connected } = chromium();
  const rooms = (name: string) => Array.from({ length: 30 }, (_, i) => `${name}${i}`);
  const first = await connected({ rooms: rooms("a") });
  const second = await connected({ rooms: rooms("b") });
  expect(second.open).toHaveLength(1);
  second.link.receive(entry(11), entry(12, "room:b1"));
  first.link.receive(entry(11));
  await clock.advance(5);
  expect(second.offsets).toEqual([11, 12]);
  expect(first.links).toHaveLength(1);
});

test("rooms of a tab that crashed don't keep others out", async () => {
  const { clock, connected } = chromium();
  const rooms = (name: string) => Array.from({ length: 30 }, (_, i) => `${name}${i}`);
  const first = await connected();
  const crashed = await connected({ rooms: rooms("a") });
  first.link.live();
  await clock.advance(5);
  crashed.tab.crash();
  const second = await connected({ rooms: rooms("b") });
  await clock.advance(5);
  first.link.live();
  await clock.advance(5);
  expect(second.open).toHaveLength(0);
  first.link.receive(entry(11, "room:b1"));
  await clock.advance(5);
  expect(second.offsets).toEqual([11]);
});

test("a message that is lost is noticed with the next one, and made up for", async () => {
  const { browser, clock, connected } = chromium();
  const first = await connected();
  const second = await connected();
  browser.loses = () => true;
  first.link.receive(entry(11));
  browser.loses = () => false;
  first.link.receive(entry(12));
  await clock.advance(5);
  expect(second.offsets).toEqual([11, 12]);
});

test("what others post to the channel does no harm", async () => {
  const { browser, clock, connected } = chromium();
  const first = await connected();
  const second = await connected();
  const [channel] = browser.channels;
  const foreign = browser.tab().openChannel(channel!.name);
  for (const data of [
    null,
    "lead",
    {},
    { kind: "toString" },
    { kind: "join", from: "x" },
    { kind: "join", from: 1, position: "e-1", rooms: [] },
    { kind: "events", leader: "x", seq: 1, events: [null] },
    { kind: "welcome", to: "x", leader: "y", seq: "1", events: {} },
  ])
    foreign.postMessage(data);
  await clock.advance(5);
  first.link.receive(entry(11));
  await clock.advance(5);
  expect(second.offsets).toEqual([11]);
  foreign.close();
});

test("a room that a tab may not see anymore ends there, and only there", async () => {
  const { clock, connected } = chromium();
  const first = await connected();
  const second = await connected({ rooms: ["r1"] });
  const ended: string[] = [];
  second.rt.room("r1", { onEnd: (reason) => void ended.push(reason) });
  first.link.live();
  await clock.advance(5);
  first.link.receive({ type: "system.unsubscribed", room: "r1", reason: "revoked" });
  await clock.advance(5);
  expect(ended).toEqual(["revoked"]);
  expect(first.events.some(({ type }) => type === "system.unsubscribed")).toBe(false);
});

test("closed by a listener of what is shared: the other tabs get it, and one goes on", async () => {
  const { browser, clock, connected } = chromium();
  const first = await connected();
  const second = await connected();
  first.rt.on("workspace.member.joined", () => first.rt.close());
  first.link.receive(entry(11));
  await clock.advance(5);
  expect(browser.leader).toBe(second.tab);
  expect(second.offsets).toEqual([11]);
  expect(second.link.position).toBe("e-11");
});

test("locks that are forbidden: every tab has its own stream", async () => {
  const { browser, clock, tab, connect } = chromium();
  const forbidden = () => {
    const plain = browser.tab();
    return {
      locks: { request: () => Promise.reject(new DOMException("no", "SecurityError")) },
      openChannel: (name: string) => plain.openChannel(name),
    };
  };
  const pages = [await connect(tab({ tabs: forbidden() })), await connect(tab({ tabs: forbidden() }))];
  await clock.advance(5000);
  for (const page of pages) {
    expect(page.open).toHaveLength(1);
    page.link.receive(entry(11));
    expect(page.offsets).toEqual([11]);
  }
  await settled();
});
