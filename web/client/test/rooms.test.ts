import { expect, test, vi } from "vitest";
import { entry, harness } from "./support/harness.js";

const joined = async (names?: string[]) => {
  const h = harness({}, names);
  await h.live();
  return h;
};

test("handles are counted: the first joins, the last leaves", async () => {
  const h = await joined();
  const one = h.rt.room("r1");
  const two = h.rt.room("r1");
  await h.clock.advance(25);
  // The second subscribe is the fence: its answer comes behind the room's entries.
  expect(h.link.sent).toMatchObject([
    { type: "subscribe", room: "r1", position: "e-10" },
    { type: "subscribe", room: "r1" },
  ]);
  one.close();
  one.close();
  await h.clock.advance(25);
  expect(h.link.sent).toHaveLength(2);
  two.close();
  await h.clock.advance(25);
  expect(h.link.sent[2]).toMatchObject({ type: "unsubscribe", room: "r1" });
});

test("opened and closed in one breath, as StrictMode does it, nothing is sent twice", async () => {
  const h = await joined();
  h.rt.room("r1").close();
  h.rt.room("r1");
  await h.clock.advance(25);
  expect(h.link.sent).toHaveLength(2);
});

test("a room's entries from before its subscription pass, though older than the position", async () => {
  const h = await joined();
  h.rt.room("r1");
  await h.clock.advance(25);
  const [subscribe, fence] = h.link.sent;
  h.link.receive(entry(12), entry(14)); // 11 and 13 are the room's
  h.link.receive({ type: "system.subscribed", room: "r1", ref: subscribe!.ref }, entry(11, "room:r1"));
  // Cut short: the next connection begins where the room has its gap.
  expect(h.rt.position).toBe("e-11");
  h.link.receive(entry(13, "room:r1"), entry(13, "room:r1"));
  h.link.receive({ type: "system.subscribed", room: "r1", ref: fence!.ref });
  expect(h.rt.position).toBe("e-14");
  expect(h.offsets).toEqual([12, 14, 11, 13]);
  expect(h.replayed.slice(-4)).toEqual([false, true, true, false]); // subscribed, 11, 13, subscribed
});

test("a heartbeat between the entries doesn't end them", async () => {
  // The server may put one there, with the position of everything else.
  const h = await joined();
  h.rt.room("r1");
  await h.clock.advance(25);
  h.link.receive({ type: "system.subscribed", room: "r1", ref: h.link.sent[0]!.ref }, entry(11, "room:r1"));
  h.link.receive({ type: "system.heartbeat", id: "e-40" });
  h.link.end({ code: 1006 });
  await h.clock.advance(250);
  expect(h.link.position).toBe("e-11");
  expect(h.link.rooms).toEqual(["r1"]);
});

test("an earlier position brings the room's entries after it", async () => {
  const h = await joined();
  h.rt.room("r1", { after: "e-3" });
  await h.clock.advance(25);
  expect(h.link.sent[0]).toMatchObject({ position: "e-3" });
});

for (const name of ["sse", "poll"])
  test(`on ${name} a room is joined by another stream that takes over`, async () => {
    const h = await joined([name]);
    h.link.receive(entry(11));
    const old = h.link;
    h.rt.room("r1");
    await h.clock.advance(25);
    expect(h.link.rooms).toEqual(["r1"]);
    expect(h.link.position).toBe("e-11");
    h.link.hello();
    old.receive(entry(12), entry(14));
    h.link.receive(entry(12), entry(13, "room:r1"), { type: "system.live" });
    expect(old.closed).toBe("coming back");
    h.link.receive(entry(14), entry(15, "room:r1"));
    expect(h.offsets).toEqual([11, 12, 14, 13, 15]);
    expect(h.rt.position).toBe("e-15");
    expect(h.statuses.filter((status) => status === "connecting")).toHaveLength(1);
  });

test("a stream that took over is resumed where it was, not where the former one had been", async () => {
  const h = await joined(["sse"]);
  const old = h.link;
  h.rt.room("r1");
  await h.clock.advance(25);
  old.receive(entry(11), entry(13)); // without the room
  h.link.hello();
  h.link.receive(entry(11), { type: "system.live" }); // 12 is the room's, and on its way
  h.link.end();
  await h.clock.advance(250);
  expect(h.link.position).toBe("e-11");
  h.link.hello();
  h.link.receive(entry(12, "room:r1"), entry(13), { type: "system.live" });
  expect(h.offsets).toEqual([11, 13, 12]);
});

test("on SSE a room that is left keeps its stream, and isn't heard anymore", async () => {
  const h = await joined(["sse"]);
  const handle = h.rt.room("r1");
  await h.clock.advance(25);
  h.link.live();
  handle.close();
  await h.clock.advance(25);
  h.link.receive(entry(11, "room:r1"), entry(12));
  expect(h.offsets).toEqual([12]);
  expect(h.links).toHaveLength(2);
});

test("a room closed and opened again on a stream that still has it loses nothing", async () => {
  // The old stream goes on with the room's newest entries; the first that were
  // not heard must come before them.
  const h = await joined(["sse"]);
  h.rt.room("other");
  const handle = h.rt.room("r1");
  await h.clock.advance(25);
  h.link.live();
  const old = h.link;
  handle.close();
  h.rt.room("r1", { after: "e-10" });
  old.receive(entry(12, "room:r1"));
  expect(h.offsets).toEqual([]);
  await h.clock.advance(25);
  h.link.hello();
  h.link.receive(entry(11, "room:r1"), entry(12, "room:r1"), { type: "system.live" });
  expect(h.offsets).toEqual([11, 12]);
});

test("many rooms at once are one connection, not a hundred messages", async () => {
  const h = await joined();
  for (let i = 0; i < 50; i++) h.rt.room(`r${i}`);
  await h.clock.advance(25);
  expect(h.links[0]!.sent).toEqual([]);
  expect(h.links[1]!.rooms).toHaveLength(50);
  expect(() => h.rt.room("one too many")).toThrow(RangeError);
});

test("a room that is refused, or ends, voids its handles", async () => {
  const ended: string[] = [];
  const h = await joined();
  const onEnd = (reason: string) => void ended.push(reason);
  h.rt.room("unknown", { onEnd });
  h.rt.room("private", { onEnd });
  await h.clock.advance(25);
  const [unknown, secret, fence] = h.link.sent;
  h.link.receive(
    { type: "system.error", code: "not_found", message: "", ref: unknown!.ref },
    { type: "system.subscribed", room: "private", ref: secret!.ref },
    { type: "system.subscribed", room: "private", ref: fence!.ref },
  );
  expect(ended).toEqual(["not_found"]);
  h.link.receive({ type: "system.unsubscribed", room: "private", reason: "revoked" });
  expect(ended).toEqual(["not_found", "revoked"]);
  h.rt.room("private", { onEnd }); // invited again
  await h.clock.advance(25);
  expect(h.link.sent[3]).toMatchObject({ type: "subscribe", room: "private" });
});

test("a room of the URL that isn't in hello was refused", async () => {
  const h = harness({ rooms: ["r1", "gone"] });
  const ended: string[] = [];
  h.rt.room("gone", { onEnd: (reason) => void ended.push(reason) });
  h.rt.start();
  await h.clock.advance(0);
  h.link.live({ rooms: ["r1"] });
  expect(ended).toEqual(["not_found"]);
});

test("a room that can't be joined right now is asked for again", async () => {
  const h = await joined();
  h.rt.room("r1");
  await h.clock.advance(25);
  h.link.receive({ type: "system.error", code: "unavailable", message: "", ref: h.link.sent[0]!.ref });
  h.link.receive({ type: "system.subscribed", room: "r1", ref: h.link.sent[1]!.ref }); // the fence had more luck
  await h.clock.advance(250);
  expect(h.link.sent[2]).toMatchObject({ type: "subscribe", room: "r1", position: "e-10" });
});

test("who hears of a room's end harms nobody by throwing, and is told by each handle it is listening with", async () => {
  vi.stubGlobal("reportError", vi.fn());
  const h = await joined();
  const told: string[] = [];
  const tell = (reason: string) => void told.push(reason);
  h.rt.room("r1", {
    onEnd: () => {
      throw new Error("of the page");
    },
  });
  h.rt.room("r1", { onEnd: tell }).close(); // the same function, and not the other handle's
  h.rt.room("r1", { onEnd: tell });
  await h.clock.advance(25);
  const [subscribe, fence] = h.link.sent;
  h.link.receive(
    { type: "system.subscribed", room: "r1", ref: subscribe!.ref },
    { type: "system.subscribed", room: "r1", ref: fence!.ref },
  );
  h.link.receive({ type: "system.unsubscribed", room: "r1", reason: "revoked" }, entry(11));
  expect(told).toEqual(["revoked"]);
  expect(h.offsets).toEqual([11]);
  expect(h.rt.status).toBe("live");
  expect(vi.mocked(reportError).mock.calls).toMatchObject([[{ message: "of the page" }]]);
  vi.unstubAllGlobals();
});
