import { expect, test } from "vitest";
import { settled } from "./support/clock.js";
import { entry, harness, snapshotAt } from "./support/harness.js";

test("a lost connection resumes where it was; what comes again is dropped", async () => {
  const h = harness();
  await h.live();
  h.link.receive(entry(11), entry(12));
  expect(h.rt.position).toBe("e-12");
  h.link.end({ code: 1006 });
  await h.clock.advance(250);
  expect(h.link.position).toBe("e-12");
  h.link.hello();
  h.link.receive(entry(12), entry(13), { type: "system.live" }, entry(13), entry(11), entry(14));
  expect(h.offsets).toEqual([11, 12, 13, 14]);
  expect(h.replayed.slice(-3)).toEqual([true, false, false]); // 13, system.live, 14
});

test("events that a newer server knows pass in their order, and count as any other", async () => {
  const h = harness();
  await h.live();
  h.link.receive(
    { type: "workspace.planet.discovered", id: "e-11", channel: "workspace:ws_1", cause: "c", planet: {} },
    { type: "system.weather", sunny: true },
    { type: "planet.glimpsed", channel: "planet:p_1" },
    entry(12),
  );
  expect(h.events.map(({ type }) => type as string).slice(-4)).toEqual([
    "workspace.planet.discovered",
    "system.weather",
    "planet.glimpsed",
    "workspace.member.joined",
  ]);
  await h.rt.until("c");
  expect(h.rt.position).toBe("e-12");
});

test("heartbeats move the position: an idle client's doesn't grow old", async () => {
  const h = harness();
  await h.live();
  h.link.receive({ type: "system.heartbeat", id: "e-99" });
  expect(h.rt.position).toBe("e-99");
});

test("a batch isn't delivered beyond a close", async () => {
  const h = harness();
  await h.live();
  h.rt.on("workspace.member.joined", () => h.rt.close());
  h.link.receive(entry(11), entry(12));
  expect(h.offsets).toEqual([11]);
  expect(h.rt.position).toBe("e-11"); // start() goes on with 12
});

test("the backoff has full jitter between 0.5 and 20 s", async () => {
  const h = harness({ random: () => 0.999 });
  h.answers.probe = 503;
  h.rt.start();
  for (let i = 0; i < 8; i++) {
    await settled();
    h.link.end({ code: 1006 });
    await settled();
    await h.clock.advance(h.delays.at(-1)!);
  }
  const delays = h.delays.filter((delay) => delay !== undefined).map(Math.round);
  expect(delays).toEqual([500, 999, 1998, 3996, 7992, 15984, 19980, 19980]);
});

test("a delay that the server names is kept, and nothing cuts it short", async () => {
  const h = harness();
  await h.live();
  h.link.receive({ type: "system.goodbye", code: 4503, reason: "draining", reconnect: true, delayMs: 1800 });
  expect(h.link.closed).toBe("coming back");
  await settled();
  h.environment.signals!.online();
  h.environment.signals!.wake();
  await h.clock.advance(1799);
  expect(h.links).toHaveLength(1);
  await h.clock.advance(1);
  expect(h.links).toHaveLength(2);
});

test("what the close codes say, by close frame and by goodbye", async () => {
  for (const [code, status] of [
    [1001, "waiting"],
    [1012, "waiting"],
    [1006, "waiting"],
    [4400, "stopped"],
    [4401, "stopped"],
    [4403, "stopped"],
    [4408, "waiting"],
    [4409, "waiting"],
    [4413, "stopped"],
    [4429, "waiting"],
    [4999, "waiting"], // a newer server's
  ] as const) {
    const closed = harness();
    await closed.live();
    closed.link.end({ code });
    await settled();
    expect(closed.rt.status, `close ${code}`).toBe(status);

    const goodbye = harness({}, ["poll"]);
    await goodbye.live();
    const reconnect = status === "waiting";
    goodbye.link.receive({ type: "system.goodbye", code, reason: "r", reconnect, delayMs: 0 }, entry(11));
    await settled();
    expect(goodbye.rt.status, `goodbye ${code}`).toBe(status);
    expect(goodbye.offsets).toEqual([]); // it was the last event
  }
});

test("online, and a page that is seen again, cut the wait short", async () => {
  for (const signal of ["online", "wake", "show"] as const) {
    const h = harness();
    await h.live();
    h.link.end({ code: 1006 });
    await settled();
    h.environment.signals![signal]();
    expect(h.links).toHaveLength(2);
    await h.clock.advance(10_000);
    expect(h.links.filter(({ closed }) => closed === null)).toHaveLength(1);
  }
});

test("silence of one and a half heartbeats is a dead link", async () => {
  const h = harness();
  await h.live();
  await h.clock.advance(30_000);
  h.link.sink.alive(); // a comment in a stream, say
  await h.clock.advance(37_499);
  expect(h.rt.status).toBe("live");
  await h.clock.advance(1);
  expect(h.link.closed).toBe("coming back");
  expect(h.rt.status).toBe("waiting");
});

test("the watchdog goes by the clock: after a sleep it bites on waking, not when a late timer fires", async () => {
  // Background tabs run timers once a minute, frozen ones never.
  const h = harness();
  await h.live();
  h.clock.sleep(37_500);
  h.environment.signals!.wake();
  expect(h.rt.status).toBe("waiting");

  const awake = harness();
  await awake.live();
  awake.clock.sleep(37_000);
  awake.link.receive({ type: "system.heartbeat", id: "e-10" });
  await awake.clock.advance(1000); // the timer fires late, and something has come
  expect(awake.rt.status).toBe("live");
});

test("without a position a snapshot comes first", async () => {
  const order: string[] = [];
  const h = harness({ position: undefined as never, snapshot: async () => snapshotAt("e-7") });
  h.rt.onSnapshot(({ position }) => order.push(position));
  h.rt.on("workspace.member.joined", ({ id }) => order.push(id));
  expect(h.rt.position).toBe(null);
  h.rt.start();
  await settled();
  expect(h.link.position).toBe("e-7");
  h.link.live();
  h.link.receive(entry(7), entry(8));
  expect(order).toEqual(["e-7", "e-8"]);
});

test("without a position and without a listener for snapshots it is live from now on", async () => {
  const h = harness({ position: undefined as never, snapshot: () => Promise.reject(new Error("not asked for")) });
  await h.live();
  expect(h.link.position).toBe(null);
  h.link.receive(entry(1));
  h.link.end({ code: 1006 });
  await h.clock.advance(250);
  expect(h.link.position).toBe("e-1");
});

function resyncing(options: Parameters<typeof harness>[0] = {}) {
  let give = (_: ReturnType<typeof snapshotAt>) => {};
  let fail = (_: Error) => {};
  const h = harness({
    snapshot: () =>
      new Promise((resolve, reject) => {
        give = resolve;
        fail = reject;
      }),
    rooms: ["r1"],
    ...options,
  });
  const order: string[] = [];
  h.rt.onSnapshot(({ position }) => order.push(`snapshot ${position}`));
  h.rt.on("*", (event) => event.channel && order.push(event.id ?? event.type));
  return Object.assign(h, { order, give: (p: string) => give(snapshotAt(p)), fail: (e: Error) => fail(e) });
}

test("a resync holds events back, swaps the snapshot in and goes on, in one step", async () => {
  const h = resyncing();
  h.rt.start();
  await settled();
  const link = h.links[0]!;
  link.hello({ resumed: false, id: "f-50" });
  link.receive({ type: "system.resync", reason: "epoch_changed", id: "f-50" }, { type: "system.live" });
  link.receive(entry(51, undefined, "f"), {
    type: "presence.update",
    channel: "workspace:ws_1",
    memberId: "m",
    online: true,
  });
  link.receive(entry(52, "room:r1", "f"), entry(53, undefined, "f"));
  await settled();
  expect(h.order).toEqual([]);
  expect(h.rt.status).toBe("syncing");
  expect(h.rt.position).toBe(null);
  h.give("f-52");
  await settled();
  // 51 is in the snapshot. A message never is, so 52 passes.
  expect(h.order).toEqual(["snapshot f-52", "presence.update", "f-52", "f-53"]);
  expect(h.rt.status).toBe("live");
  expect(h.rt.position).toBe("f-53");
  expect(h.links).toHaveLength(1);
});

test("a connection that dies between hello and resync doesn't hide the gap", async () => {
  // The hello of a connection that can't be resumed carries the log's head. To
  // come back with that would skip all that lies between, without a word.
  const h = resyncing();
  h.rt.start();
  await settled();
  h.links[0]!.hello({ resumed: false, id: "e-5000" });
  h.links[0]!.end({ code: 4408 });
  await h.clock.advance(250);
  expect(h.links).toHaveLength(1); // a snapshot first
  h.give("e-5001");
  await settled();
  expect(h.order).toEqual(["snapshot e-5001"]);
  expect(h.links[1]!.position).toBe("e-5001");
});

test("a snapshot that can't be had is a failed connection: wait, then begin with the snapshot", async () => {
  const h = resyncing();
  await h.live();
  h.links[0]!.receive({ type: "system.resync", reason: "position_expired", id: "e-50" });
  await settled();
  h.fail(Object.assign(new Error("busy"), { status: 503 }));
  await settled();
  expect(h.rt.status).toBe("waiting");
  expect(h.links[0]!.closed).toBe("coming back");
  await h.clock.advance(250);
  h.give("e-60");
  await settled();
  expect(h.links[1]!.position).toBe("e-60");
});

test("a snapshot that nobody answers is given up", async () => {
  const h = resyncing({
    position: undefined as never,
    snapshot: (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  });
  h.rt.start();
  await h.clock.advance(30_000);
  expect(h.rt.status).toBe("waiting");
});

test("a log that is shorter than it was is believed", async () => {
  // After a restore from a backup the same positions name other entries.
  const h = resyncing();
  await h.live();
  h.links[0]!.receive(entry(20), entry(21, "room:r1"));
  h.links[0]!.receive({ type: "system.resync", reason: "ahead_of_log", id: "e-15" });
  await settled();
  h.give("e-15");
  await settled();
  h.links[0]!.receive(entry(16), entry(17, "room:r1"));
  expect(h.order).toEqual(["e-20", "e-21", "snapshot e-15", "e-16", "e-17"]);
});

test("somebody else has signed in: a snapshot of what they may see, then the rest", async () => {
  const h = resyncing();
  await h.live();
  h.links[0]!.end({ code: 1006 });
  await h.clock.advance(250);
  h.link.hello({ member: { id: "mem_2" } });
  h.link.receive(entry(11), { type: "system.live" }, entry(12, "member:mem_2"));
  await settled();
  expect(h.rt.status).toBe("syncing");
  expect(h.order).toEqual([]);
  h.give("e-11");
  await settled();
  expect(h.order).toEqual(["snapshot e-11", "e-12"]);
  expect(h.rt.status).toBe("live");
});

test("with nobody to take a snapshot, a resync goes on at the head", async () => {
  const h = harness();
  await h.live();
  h.link.receive({ type: "system.resync", reason: "position_expired", id: "e-50" }, entry(51));
  expect(h.offsets).toEqual([51]);
  expect(h.rt.status).toBe("live");
});

test("a listener that throws harms neither the others nor the stream", async () => {
  const h = harness();
  const errors: unknown[] = [];
  const caught = (error: unknown) => void errors.push(error);
  process.on("uncaughtException", caught);
  const off = h.rt.on("workspace.member.joined", () => {
    throw new Error("a bug of the page");
  });
  await h.live();
  h.link.receive(entry(11));
  await settled();
  off();
  h.link.receive(entry(12));
  await settled();
  process.off("uncaughtException", caught);
  expect(h.offsets).toEqual([11, 12]);
  expect(errors).toHaveLength(1);
});
