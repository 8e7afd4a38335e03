// Rooms' messages: pages that were fetched and events that arrived, in one list.
import { afterEach, expect, test, vi } from "vitest";
import { createStores } from "../../src/stores/index.js";
import { settled } from "../support/clock.js";
import { harness } from "../support/harness.js";
import { events, FakeApi, grantRooms, message, room, snapshot } from "../support/state.js";

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => message(from + i));

async function live(history = range(1, 3)) {
  const api = new FakeApi();
  api.messages = history;
  const h = harness({ fetch: api.fetch });
  const stores = createStores(h.rt);
  stores.hydrate(snapshot());
  await h.live();
  const opened = async () => {
    const lease = stores.openRoom("r");
    await h.clock.advance(25);
    grantRooms(h.link);
    await settled();
    return lease;
  };
  return {
    ...h,
    api,
    stores,
    opened,
    link: h.links.at(-1)!,
    get r() {
      return stores.messagesStore.state.get("r");
    },
    get bodies() {
      return stores.messagesStore.state.get("r")?.messages.map(({ body }) => body.replace("message ", ""));
    },
  };
}

afterEach(() => void vi.useRealTimers());

test("a room is joined, then its messages are fetched, then they stay up to date", async () => {
  const t = await live();
  await t.opened();
  expect(t.r).toMatchObject({ status: "ready", hasMore: false, reason: null });
  expect(t.bodies).toEqual(["1", "2", "3"]);
  t.link.receive(
    events.posted(11, message(4)),
    events.edited(12, message(1, 2, "one")),
    events.deleted(13, message(2)),
  );
  await settled();
  expect(t.bodies).toEqual(["one", "3", "4"]);
});

test("what happens while the page is on its way is neither lost nor undone", async () => {
  const t = await live();
  let answer = () => {};
  t.api.gate = new Promise((resolve) => (answer = resolve));
  t.stores.openRoom("r");
  await t.clock.advance(25); // the page was read: 1, 2, 3 as they were
  grantRooms(t.link);
  t.link.receive(
    events.edited(11, message(1, 2, "one")),
    events.deleted(12, message(2)),
    events.posted(13, message(4)),
  );
  await settled();
  expect(t.r).toMatchObject({ status: "loading", messages: [] }); // not by halves
  answer();
  await settled();
  expect(t.bodies).toEqual(["one", "3", "4"]);
});

test("an edit of an old message doesn't show it out of its place, and isn't forgotten", async () => {
  const t = await live(range(1, 120));
  const lease = await t.opened();
  t.link.receive(events.edited(11, message(20, 2, "edited")));
  await settled();
  expect(t.bodies).toHaveLength(50);
  expect(t.r?.hasMore).toBe(true);
  // The page still says what was before the edit.
  await lease.loadMore();
  await lease.loadMore();
  await settled();
  expect(t.bodies).toEqual(range(1, 120).map((_, i) => (i === 19 ? "edited" : String(i + 1))));
  expect(t.r?.hasMore).toBe(false);
  expect(t.api.requests).toEqual([
    "rooms/r/messages?limit=50",
    "rooms/r/messages?limit=50&before=msg_000071",
    "rooms/r/messages?limit=50&before=msg_000021",
  ]);
  await lease.loadMore();
  expect(t.api.requests).toHaveLength(3);
});

test("a message from a clock that is behind is shown, and pages go on where they were", async () => {
  const t = await live(range(10, 70));
  const lease = await t.opened();
  t.link.receive(events.posted(11, message(5)));
  await settled();
  expect(t.bodies?.slice(0, 2)).toEqual(["5", "21"]);
  await lease.loadMore();
  expect(t.api.requests.at(-1)).toContain("before=msg_000021");
});

test("a page asked for before a message that is gone doesn't end the list", async () => {
  const t = await live(range(1, 60));
  const lease = await t.opened();
  t.api.messages = t.api.messages.filter(({ id }) => id !== message(11).id); // deleted, and not told yet
  await lease.loadMore();
  await settled();
  expect(t.r).toMatchObject({ hasMore: false });
  t.link.receive(events.deleted(11, message(11)));
  await settled();
  expect(t.r).toMatchObject({ hasMore: true });
  await lease.loadMore();
  await settled();
  expect(t.bodies).toEqual(
    range(1, 60)
      .map((_, i) => String(i + 1))
      .filter((n) => n !== "11"),
  );
});

test("of many events at once the list is made once", async () => {
  const t = await live([]);
  await t.opened();
  let updates = 0;
  t.stores.messagesStore.subscribe(() => void updates++);
  t.link.receive(...range(1, 1000).map((m, i) => events.posted(11 + i, m)));
  await settled();
  expect(updates).toBe(1);
  expect(t.bodies).toHaveLength(1000);
});

test("after a gap the messages are fetched again, and swapped when they are there", async () => {
  const t = await live(range(1, 60));
  const lease = await t.opened();
  await lease.loadMore();
  await settled();
  const kept = t.r?.messages[5];
  t.api.messages = [...range(1, 59), message(61)]; // 60 was deleted, 61 was posted, while we were away
  t.api.snapshot = snapshot({ position: "e-90" });
  let answer = () => {};
  const lengths: number[] = [];
  t.stores.messagesStore.subscribe((rooms) => void lengths.push(rooms.get("r")!.messages.length));
  t.link.receive({ type: "system.resync", reason: "position_expired", id: "e-90" });
  t.api.gate = new Promise((resolve) => (answer = resolve));
  await t.clock.advance(0);
  t.link.receive(events.posted(91, message(62)));
  await settled();
  expect(t.r).toMatchObject({ status: "ready" });
  expect(t.bodies?.at(-1)).toBe("62");
  answer();
  await vi.waitFor(() => expect(t.bodies?.slice(-3)).toEqual(["59", "61", "62"]));
  expect(t.r?.messages[5]).toBe(kept);
  expect(t.api.requests.at(-1)).toBe("rooms/r/messages?limit=60"); // as many as were shown
  expect(Math.min(...lengths)).toBeGreaterThanOrEqual(60);
});

test("leases are counted: the last one leaves the room and forgets its messages", async () => {
  const t = await live();
  const one = await t.opened();
  const two = t.stores.openRoom("r");
  one.close();
  one.close();
  await settled();
  expect(t.r?.status).toBe("ready");
  two.close();
  await t.clock.advance(25);
  expect(t.r).toBeUndefined();
  expect(t.link.sent.at(-1)).toMatchObject({ type: "unsubscribe", room: "r" });
});

test("opened, closed and opened in one breath is one join and one fetch", async () => {
  const t = await live();
  t.stores.openRoom("r").close();
  await t.opened();
  expect(t.api.requests).toHaveLength(1);
  expect(t.bodies).toEqual(["1", "2", "3"]);
});

test("a fetch that fails is tried again, after a while or when the connection is back", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const t = await live();
  t.api.status = 503;
  await t.opened();
  expect(t.r?.status).toBe("loading");
  await vi.advanceTimersByTimeAsync(1000);
  expect(t.api.requests).toHaveLength(2);
  t.link.end({ code: 1006 });
  await vi.advanceTimersByTimeAsync(60_000); // nobody is there: nothing is asked
  expect(t.api.requests.filter((request) => request.startsWith("rooms"))).toHaveLength(2);
  t.api.status = 200;
  await t.clock.advance(250);
  t.links.at(-1)!.live({ rooms: ["r"] });
  await settled();
  expect(t.r?.status).toBe("ready");
});

test("a room that isn't there, or not for this member, has ended; it comes back when it appears", async () => {
  const t = await live();
  t.api.status = 404;
  await t.opened();
  expect(t.r).toEqual({ status: "ended", messages: [], hasMore: false, reason: "not_found" });
  t.api.status = 200;
  t.link.receive(events.roomCreated(11, room("r", 2)));
  await t.clock.advance(25);
  grantRooms(t.link);
  await settled();
  expect(t.r?.status).toBe("ready");
  t.link.receive({ type: "system.unsubscribed", room: "r", reason: "revoked" });
  await settled();
  expect(t.r).toMatchObject({ status: "ended", reason: "revoked", messages: [] });
});

test("one room too many says so", async () => {
  const t = await live();
  for (let i = 0; i < 51; i++) t.stores.openRoom(`r${i}`);
  await settled();
  expect(t.stores.messagesStore.state.get("r50")).toMatchObject({ status: "ended" });
  expect(t.stores.messagesStore.state.get("r50")?.reason).toMatch(/more than 50/);
});

test("opened before the first snapshot: fetched behind it, from there on", async () => {
  const api = new FakeApi();
  api.messages = range(1, 3);
  const h = harness({ position: undefined as never, fetch: api.fetch });
  const stores = createStores(h.rt);
  stores.openRoom("r");
  await settled();
  expect(api.requests).toEqual([]);
  h.rt.start();
  await settled();
  expect(api.requests).toEqual(["snapshot", "rooms/r/messages?limit=50"]);
  expect(h.link.rooms).toEqual(["r"]); // with the connection, not behind it
  expect(stores.messagesStore.state.get("r")?.status).toBe("ready");
});
