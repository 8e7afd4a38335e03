import { expect, test, vi } from "vitest";
import type { RealtimeOptions, Snapshot } from "../../src/index.js";
import { createStores } from "../../src/stores/index.js";
import { settled } from "../support/clock.js";
import { harness } from "../support/harness.js";
import { events, FakeApi, member, role, snapshot } from "../support/state.js";

async function live(over: Partial<Snapshot> = {}, options: Partial<RealtimeOptions> = {}) {
  const h = harness(options);
  const stores = createStores(h.rt);
  stores.hydrate(snapshot(over));
  h.rt.start();
  await settled();
  h.link.live();
  await settled();
  return { ...h, stores, link: h.links.at(-1)! };
}

const names = (store: { state: ReadonlyMap<string, { name: string }> }) =>
  [...store.state.values()].map(({ name }) => name).sort();

test("hydrated at once, before anything is connected", () => {
  const stores = createStores(harness().rt);
  expect(stores.workspaceStore.state).toBeNull();
  stores.hydrate(snapshot());
  expect(names(stores.membersStore)).toEqual(["a", "b"]);
  expect(stores.workspaceStore.state?.slug).toBe("acme");
  expect(stores.meStore.state).toBe("mem_1");
  expect([...stores.presenceStore.state]).toEqual(["a"]);
});

test("a burst of events is one update, and is there when until resolves", async () => {
  const { link, stores, rt } = await live();
  let updates = 0;
  stores.membersStore.subscribe(() => void updates++);
  const burst = Array.from({ length: 1000 }, (_, i) => events.joined(11 + i, member(`m${i}`)));
  const size = rt.until("cause-1010").then(() => stores.membersStore.state.size);
  link.receive(...burst);
  expect(await size).toBe(1002);
  await settled();
  expect(updates).toBe(1);
});

test("all stores show one moment", async () => {
  const { link, stores } = await live();
  const seen: string[] = [];
  const look = () =>
    void seen.push(`${stores.membersStore.state.get("a")?.name} ${stores.rolesStore.state.get("owner")?.name}`);
  stores.membersStore.subscribe(look);
  stores.rolesStore.subscribe(look);
  link.receive(events.updated(11, member("a", 2, "Ann")), events.roleUpdated(12, role("owner", 2, "Boss")));
  await settled();
  expect(seen).toEqual(["Ann Boss", "Ann Boss"]);
});

test("what didn't change stays the same object", async () => {
  const { link, stores } = await live();
  const { membersStore, rolesStore } = stores;
  const [a, b, roles] = [membersStore.state.get("a"), membersStore.state.get("b"), rolesStore.state];
  link.receive(events.updated(11, member("a", 2, "Ann")));
  await settled();
  expect(membersStore.state.get("a")).not.toBe(a);
  expect(membersStore.state.get("b")).toBe(b);
  expect(rolesStore.state).toBe(roles);
});

test("never back in time: an older version, a repetition and a buried entity change nothing", async () => {
  const { link, stores } = await live({ members: [member("a", 5, "new"), member("b")] });
  const before = stores.membersStore.state;
  link.receive(events.updated(11, member("a", 4, "old")), events.updated(12, member("a", 5, "same")));
  await settled();
  expect(stores.membersStore.state).toBe(before);
  link.receive(events.removed(13, "b", 2), events.updated(14, member("b", 2)), events.updated(15, member("b", 1)));
  await settled();
  expect(names(stores.membersStore)).toEqual(["new"]);
  link.receive(events.joined(16, member("b", 3, "back")), events.removed(17, "a", 4));
  await settled();
  expect(names(stores.membersStore)).toEqual(["back", "new"]);
});

test("a snapshot after a gap is swapped in one step, older versions too", async () => {
  const api = new FakeApi();
  const { link, stores, clock } = await live(
    { members: [member("a", 9), member("b"), member("gone")] },
    { fetch: api.fetch },
  );
  const [b, seen] = [stores.membersStore.state.get("b"), [] as string[]];
  stores.membersStore.subscribe((members) => void seen.push([...members.keys()].join()));
  // Restored from a backup: another epoch, and a is younger.
  api.snapshot = snapshot({ position: "f-3", members: [member("a", 4, "restored"), member("b")] });
  link.receive(events.stale(11, "a"));
  link.receive(
    { type: "system.resync", reason: "epoch_changed", id: "f-3" },
    { ...events.joined(0, member("c")), id: "f-4" },
  );
  await clock.advance(0);
  expect(seen).toEqual(["a,b,c"]);
  expect(stores.membersStore.state.get("a")).toMatchObject({ version: 4, name: "restored" });
  expect(stores.membersStore.state.get("b")).toBe(b);
  expect(stores.staleStore.state.size).toBe(0);
  link.receive({ ...events.updated(0, member("a", 5, "again")), id: "f-5" });
  await settled();
  expect(names(stores.membersStore)).toEqual(["again", "b", "c"]);
});

test("an equal snapshot updates nothing", () => {
  const stores = createStores(harness().rt);
  stores.hydrate(snapshot());
  let updates = 0;
  for (const store of [
    stores.membersStore,
    stores.rolesStore,
    stores.roomsStore,
    stores.workspaceStore,
    stores.presenceStore,
  ])
    store.subscribe(() => void updates++);
  stores.hydrate(structuredClone(snapshot()));
  expect(updates).toBe(0);
});

test("hydrating with an older snapshot does nothing, with a newer one it covers events on their way", async () => {
  const { link, stores } = await live();
  link.receive(events.joined(11, member("c")), events.joined(12, member("d")));
  await settled();
  stores.hydrate(snapshot({ position: "e-11", members: [member("a"), member("b"), member("c")] }));
  expect(stores.membersStore.state.size).toBe(4);
  stores.hydrate(snapshot({ position: "before-99", members: [] }));
  expect(stores.membersStore.state.size).toBe(4);
  // c left, 14, but the connection is still at 12.
  stores.hydrate(snapshot({ position: "e-14", members: [member("a"), member("b"), member("d")] }));
  link.receive(events.updated(13, member("c", 2)));
  await settled();
  expect(names(stores.membersStore)).toEqual(["a", "b", "d"]);
});

test("presence: the whole set with hello, then who comes and goes", async () => {
  const { link, stores } = await live();
  expect([...stores.presenceStore.state]).toEqual([]); // hello said so
  link.hello({ presence: ["a", "b"] });
  link.receive(events.online("c", true), events.online("a", false), events.online("b", true));
  await settled();
  expect([...stores.presenceStore.state].sort()).toEqual(["b", "c"]);
});

test("an aggregate is stale as long as one of its causes is", async () => {
  const { link, stores } = await live();
  const of = async (...received: object[]) => {
    link.receive(...received);
    await settled();
    return stores.staleStore.state.get("a");
  };
  const first = { kind: "member", aggregate: "a", cause: "cause-11" };
  expect(await of(events.stale(11, "a"))).toEqual(first);
  expect(await of(events.stale(12, "a"))).toEqual(first);
  expect(await of(events.healed(13, "a", "cause-11"))).toMatchObject({ cause: "cause-12" });
  expect(await of(events.healed(14, "a", "cause-11"))).toMatchObject({ cause: "cause-12" });
  expect(await of(events.healed(15, "a", "cause-12"))).toBeUndefined();
  expect(await of(events.healed(16, "b", "cause-1"))).toBeUndefined();
  expect(stores.staleStore.state.size).toBe(0);
});

test("a snapshot says what is stale", async () => {
  const { stores } = await live({ stale: [{ kind: "role", aggregate: "owner", cause: "c" }] });
  expect([...stores.staleStore.state.keys()]).toEqual(["owner"]);
  const before = stores.staleStore.state;
  stores.hydrate(snapshot({ position: "e-11", stale: [{ kind: "role", aggregate: "owner", cause: "c" }] }));
  expect(stores.staleStore.state).toBe(before);
  stores.hydrate(snapshot({ position: "e-12" }));
  expect(stores.staleStore.state.size).toBe(0);
});

test("the connection: status, transport, delay, reason and position", async () => {
  const { link, stores } = await live();
  expect(stores.connectionStore.state).toEqual({
    status: "live",
    transport: "websocket",
    delayMs: null,
    reason: null,
    position: "e-10",
  });
  link.receive({ type: "system.heartbeat", id: "e-12" });
  await settled();
  expect(stores.connectionStore.state.position).toBe("e-12");
  link.end({ code: 1006, reason: "gone" });
  await settled();
  expect(stores.connectionStore.state).toMatchObject({ status: "waiting", delayMs: 250, reason: "gone" });
});

test("the first snapshot comes with the client's start", async () => {
  const api = new FakeApi();
  const h = harness({ position: undefined as never, fetch: api.fetch });
  const stores = createStores(h.rt);
  await h.live();
  await settled();
  expect(names(stores.membersStore)).toEqual(["a", "b"]);
  expect(api.requests).toEqual(["snapshot"]);
});

test("stores that come after the client was started fetch a snapshot, and show nothing by halves", async () => {
  const api = new FakeApi();
  const h = harness({ fetch: api.fetch });
  await h.live();
  const stores = createStores(h.rt);
  h.link.receive(events.joined(11, member("c")));
  await settled();
  expect(names(stores.membersStore)).toEqual(["a", "b", "c"]);
  expect(api.requests).toEqual(["snapshot"]);
});

test("somebody else signs in: what they may see replaces the rest", async () => {
  const api = new FakeApi();
  const { link, links, stores, clock } = await live({ members: [member("a"), member("secret")] }, { fetch: api.fetch });
  api.snapshot = snapshot({ position: "e-12", me: { memberId: "b" } });
  link.end({ code: 1006 });
  await clock.advance(250);
  links.at(-1)!.live({ member: { id: "b" } });
  await settled();
  expect(names(stores.membersStore)).toEqual(["a", "b"]);
  expect(stores.meStore.state).toBe("b");
  expect(api.requests.filter((request) => request === "snapshot")).toHaveLength(1);
});

test("a snapshot of somebody who isn't signed in anymore is replaced", async () => {
  const api = new FakeApi();
  const h = harness({ fetch: api.fetch });
  const stores = createStores(h.rt);
  stores.hydrate(snapshot({ me: { memberId: "z" }, members: [member("secret")] }));
  await h.live();
  await settled();
  expect(names(stores.membersStore)).toEqual(["a", "b"]);
  expect(stores.meStore.state).toBe("mem_1");
  expect(api.requests).toEqual(["snapshot"]);
});

test("an event of a newer server does no harm", async () => {
  const { link, stores } = await live();
  const before = stores.membersStore.state;
  link.receive({ ...events.joined(11, member("c")), type: "workspace.renovated" });
  await settled();
  expect(stores.membersStore.state).toBe(before);
  expect(stores.connectionStore.state.position).toBe("e-11");
});

test("closed stores stand still, and the client goes on", async () => {
  const { link, stores, rt } = await live();
  stores.close();
  link.receive(events.joined(11, member("c")));
  await settled();
  expect(stores.membersStore.state.size).toBe(2);
  expect(rt.status).toBe("live");
});

test("a subscriber that throws keeps nothing from the others, of any store", async () => {
  // TanStack breaks off where one throws: the rest of the page stood still, for good.
  vi.stubGlobal("reportError", vi.fn());
  const { link, stores } = await live();
  const told: string[] = [];
  for (const store of [stores.membersStore, stores.rolesStore]) {
    store.subscribe(() => {
      throw new Error("of the page");
    });
    store.subscribe(() => void told.push(store === stores.membersStore ? "members" : "roles"));
  }
  for (const version of [2, 3]) {
    link.receive(
      events.updated(9 + 2 * version, member("a", version, `Ann ${version}`)),
      events.roleUpdated(10 + 2 * version, role("owner", version, `Boss ${version}`)),
    );
    await settled();
  }
  expect(told).toEqual(["members", "roles", "members", "roles"]);
  expect(reportError).toHaveBeenCalledTimes(4);
  vi.unstubAllGlobals();
});
