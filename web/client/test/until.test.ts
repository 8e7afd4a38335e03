import { expect, test } from "vitest";
import { StaleError } from "../src/index.js";
import { systemClock } from "../src/clock.js";
import { settled } from "./support/clock.js";
import { entry, harness, snapshotAt } from "./support/harness.js";

test("resolves on delivery, and at once when the event was faster than the command's answer", async () => {
  const h = harness();
  await h.live();
  const mine = h.rt.until("cause-11");
  h.link.receive(entry(11));
  await mine;
  await h.rt.until("cause-11");
  expect(h.clock.pending).toBe(1); // the watchdog's
});

test("resolves after the listeners have run", async () => {
  const h = harness();
  await h.live();
  let applied = false;
  h.rt.on("workspace.member.joined", () => void (applied = true));
  const mine = h.rt.until("cause-11").then(() => expect(applied).toBe(true));
  h.link.receive(entry(11));
  await mine;
});

test("resolves for every event that was collapsed into one", async () => {
  const h = harness();
  await h.live();
  const mine = [h.rt.until("cause-11"), h.rt.until("cause-12"), h.rt.until("cause-13")];
  h.link.receive({ ...entry(11), causes: ["cause-12", "cause-13"] });
  await Promise.all(mine);
  await h.rt.until("cause-13");
  expect(h.offsets).toEqual([11]);
});

test("rejects on system.stale, before and after", async () => {
  const h = harness();
  await h.live();
  const mine = h.rt.until("c");
  h.link.receive({ type: "system.stale", channel: "workspace:ws_1", cause: "c", id: "e-11", at: "2026-11-23T09:30:14.123Z", kind: "member", aggregate: "mem_1" });
  await expect(mine).rejects.toThrow(StaleError);
  await expect(h.rt.until("c")).rejects.toMatchObject({ cause: "c", aggregate: "mem_1" });
});

const stale = (offset: number, cause: string, type = "system.stale") => ({
  type,
  id: `e-${offset}`,
  channel: "workspace:ws_1",
  cause,
  aggregate: "member:mem_1",
  at: "",
});

test("stale and healed are entries of the log: each counts once, also when it is replayed", async () => {
  const h = harness();
  await h.live();
  h.link.receive(stale(11, "c"));
  await expect(h.rt.until("c")).rejects.toThrow(StaleError);
  h.link.receive(stale(12, "c", "system.healed"));
  await h.rt.until("c");
  h.link.end({ code: 1006 });
  await h.clock.advance(250);
  h.link.hello();
  h.link.receive(stale(11, "c"), stale(12, "c", "system.healed"), stale(13, "d"), { type: "system.live" });
  await h.rt.until("c");
  await expect(h.rt.until("d")).rejects.toThrow(StaleError);
  expect(h.offsets).toEqual([11, 12, 13]);
  expect(h.rt.position).toBe("e-13");
});

test("an aggregate is stale by each of its causes: healing one says nothing about the other", async () => {
  const h = harness();
  await h.live();
  h.link.receive(stale(11, "first"), stale(12, "second"), stale(13, "first", "system.healed"));
  await h.rt.until("first");
  await expect(h.rt.until("second")).rejects.toThrow(StaleError);
});

test("a snapshot shows what was stale before it", async () => {
  let give = (_: ReturnType<typeof snapshotAt>) => {};
  const h = harness({ snapshot: () => new Promise((resolve) => (give = resolve)) });
  h.rt.onSnapshot(() => {});
  await h.live();
  h.link.receive(stale(11, "before"));
  h.link.receive({ type: "system.resync", reason: "position_expired", id: "e-90" });
  await settled();
  give(snapshotAt("e-90"));
  await settled();
  await h.rt.until("before");
  h.link.receive(stale(91, "after"));
  await expect(h.rt.until("after")).rejects.toThrow(StaleError);
});

test("a projection that succeeds after all resolves", async () => {
  const h = harness();
  await h.live();
  h.link.receive(stale(11, "cause-12"));
  await expect(h.rt.until("cause-12")).rejects.toThrow(StaleError);
  h.link.receive(entry(12));
  await h.rt.until("cause-12");
});

test("rejects after its timeout and on close", async () => {
  const h = harness();
  await h.live();
  const late = expect(h.rt.until("late", { timeout: 500 })).rejects.toThrow("500 ms");
  await h.clock.advance(500);
  await late;
  const closed = expect(h.rt.until("closed")).rejects.toThrow("closed");
  h.rt.close();
  await closed;
  expect(h.clock.pending).toBe(0);
});

test("rejects when the server ends it for good: nothing comes by itself anymore", async () => {
  const h = harness();
  await h.live();
  const mine = expect(h.rt.until("c")).rejects.toThrow("stopped");
  h.link.end({ code: 4403 });
  await mine;
});

test("a timeout that no timer can count to is none", async () => {
  const h = harness({ clock: systemClock });
  const mine = h.rt.until("c", { timeout: Infinity });
  const early = new Promise((resolve) => setTimeout(resolve, 20, "still waiting"));
  expect(await Promise.race([mine, early])).toBe("still waiting");
  mine.catch(() => {});
  h.rt.close();
});

test("a snapshot asked for later has it", async () => {
  let give = (_: ReturnType<typeof snapshotAt>) => {};
  const h = harness({ snapshot: () => new Promise((resolve) => (give = resolve)) });
  h.rt.onSnapshot(() => {});
  await h.live();
  let done = "";
  void h.rt.until("before").then(() => (done += "before"));
  h.link.receive({ type: "system.resync", reason: "position_expired", id: "e-90" });
  await settled();
  void h.rt.until("after").then(() => (done += "after"));
  give(snapshotAt("e-90"));
  await settled();
  expect(done).toBe("before"); // the other may have been committed behind the snapshot
});
