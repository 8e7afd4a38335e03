import { afterAll, expect, test } from "vitest";
import { transitions, type Status } from "../src/status.js";
import { settled } from "./support/clock.js";
import { entry, harness, snapshotAt } from "./support/harness.js";

// Every scenario notes the transitions it went through; at the end every one
// of the table must have been seen.
const seen = new Set<string>();

function observed(options?: Parameters<typeof harness>[0], names?: string[]) {
  const h = harness(options, names);
  let before: Status = "idle";
  h.rt.onStatus((status) => {
    seen.add(`${before} > ${status}`);
    before = status;
  });
  return h;
}

afterAll(() => {
  const table = Object.entries(transitions).flatMap(([from, steps]) =>
    Object.values(steps).map((to) => `${from} > ${to}`),
  );
  expect([...seen].sort()).toEqual([...new Set(table)].sort());
});

test("idle, connecting, syncing, live, stopped", async () => {
  const h = observed();
  expect(h.rt.status).toBe("idle");
  h.rt.start();
  h.rt.start(); // nothing more
  expect(h.rt.status).toBe("connecting");
  await settled();
  expect(h.links.length).toBe(1);
  h.link.hello();
  expect(h.rt.status).toBe("syncing");
  h.link.receive({ type: "system.live" });
  expect(h.rt.status).toBe("live");
  expect(h.rt.transport).toBe("websocket");
  h.rt.close();
  h.rt.close();
  expect(h.rt.status).toBe("stopped");
  expect(h.link.closed).toBe("leaving");
  expect(h.clock.pending).toBe(0);
});

test("closed before the start, and started after", async () => {
  const h = observed();
  h.rt.close();
  expect(h.rt.status).toBe("stopped");
  await h.live();
  expect(h.rt.status).toBe("live");
});

test("closed while connecting, syncing, waiting and offline: nothing goes on", async () => {
  for (const until of ["connecting", "syncing", "waiting", "offline"]) {
    const h = observed();
    h.rt.start();
    await settled();
    if (until === "syncing") h.link.hello();
    if (until === "offline") h.environment.isOnline = false;
    if (until === "waiting" || until === "offline") h.link.end({ status: 503 });
    await settled();
    expect(h.rt.status).toBe(until);
    h.rt.close();
    expect(h.clock.pending).toBe(0);
    await h.clock.advance(60_000);
    expect(h.rt.status).toBe("stopped");
    expect(h.links.length).toBe(1);
  }
});

test("waiting, then connecting again, after a loss while connecting, syncing or live", async () => {
  for (const when of ["connecting", "syncing", "live"]) {
    const h = observed();
    h.rt.start();
    await settled();
    if (when === "syncing") h.link.hello();
    if (when === "live") h.link.live();
    h.answers.probe = 503;
    h.link.end({ code: 1006 });
    await settled();
    expect(h.rt.status).toBe("waiting");
    await h.clock.advance(250); // 0.5 × 0.5 s
    expect(h.rt.status).toBe("connecting");
  }
});

test("offline when the browser says so; online kicks", async () => {
  const h = observed();
  await h.live();
  h.environment.isOnline = false;
  h.link.end({ code: 1006 });
  await settled();
  expect(h.rt.status).toBe("offline");
  h.environment.isOnline = true;
  h.environment.signals!.online();
  expect(h.rt.status).toBe("connecting");
});

test("hidden for good or frozen: waiting; back: connecting", async () => {
  for (const when of ["live", "offline"]) {
    const h = observed();
    await h.live();
    if (when === "offline") {
      h.environment.isOnline = false;
      h.link.end();
      await settled();
    }
    h.environment.signals!.hide();
    // An open socket would keep the page out of the back/forward cache.
    expect(h.link.closed).toBe(when === "live" ? "leaving" : "coming back");
    expect(h.rt.status).toBe("waiting");
    await h.clock.advance(60_000);
    expect(h.rt.status).toBe("waiting");
    h.environment.signals!.show();
    expect(h.rt.status).toBe("connecting");
  }
});

test("a resync is syncing until the snapshot is there, also twice", async () => {
  let give = (_: ReturnType<typeof snapshotAt>) => {};
  const h = observed({ snapshot: () => new Promise((resolve) => (give = resolve)) });
  h.rt.onSnapshot(() => {});
  await h.live();
  h.link.receive({ type: "system.resync", reason: "epoch_changed", id: "f-3" });
  expect(h.rt.status).toBe("syncing");
  h.link.receive({ type: "system.resync", reason: "epoch_changed", id: "f-3" });
  await settled();
  give(snapshotAt("f-3"));
  await settled();
  expect(h.rt.status).toBe("live");
});

test("a snapshot older than the log's head opens a connection at its own position", async () => {
  const h = observed({ snapshot: async () => snapshotAt("f-2") });
  h.rt.onSnapshot(() => {});
  await h.live();
  h.link.receive({ type: "system.resync", reason: "epoch_changed", id: "f-3" });
  h.link.receive(entry(4, undefined, "f"));
  await settled();
  expect(h.statuses.slice(-2)).toEqual(["syncing", "connecting"]);
  expect(h.link.position).toBe("f-2");
});

test("a takeover is live again, on the other transport", async () => {
  const h = observed();
  await h.live();
  h.environment.signals!.online(); // the network may be another one
  h.link.live();
  expect(h.statuses.slice(-2)).toEqual(["live", "live"]);
  expect(h.links.map(({ closed }) => closed)).toEqual(["coming back", null]);
});

test("a room that no candidate brings takes a restart", async () => {
  const h = observed({}, ["sse"]);
  await h.live();
  h.rt.room("r1");
  await h.clock.advance(25);
  h.link.end();
  expect(h.rt.status).toBe("connecting");
  await settled();
  expect(h.link.rooms).toEqual(["r1"]);
});

test("closed by a listener, whatever it hears: nothing is opened, fetched, asked or delivered anymore", async () => {
  // It was found with a zombie: closed while "connecting" was announced, the
  // client opened its link all the same, and threw when that got live.
  for (const step of ["connecting", "syncing", "live", "waiting"] as const) {
    let asked = 0;
    const h = observed({ onAuthRequired: () => void asked++ });
    h.rt.onStatus((status) => status === step && h.rt.close());
    h.rt.start();
    await settled();
    h.links.at(-1)?.live();
    h.links.at(-1)?.end({ status: 401 });
    await h.clock.advance(60_000);
    expect([h.rt.status, asked], step).toEqual(["stopped", 0]);
    expect(h.links.length, step).toBe(step === "connecting" ? 0 : 1);
    expect(h.events.map(({ type }) => type).includes("system.hello"), step).toBe(["live", "waiting"].includes(step));
    expect(h.clock.pending, step).toBe(0);
  }
});

test("closed by a listener in a resync: no snapshot is fetched", async () => {
  let fetched = 0;
  const h = observed({ snapshot: async () => (fetched++, snapshotAt("e-90")) });
  let delivered = 0;
  h.rt.onSnapshot(() => void delivered++);
  await h.live();
  h.rt.onStatus((status) => status === "syncing" && h.rt.close());
  h.link.receive({ type: "system.resync", reason: "position_expired", id: "e-90" });
  await settled();
  expect([h.rt.status, fetched, delivered, h.clock.pending]).toEqual(["stopped", 0, 0, 0]);
});

test("closed by a listener just before somebody would be asked to sign in: nobody is", async () => {
  let asked = 0;
  const h = observed({ onAuthRequired: () => void asked++ });
  await h.live();
  h.rt.onStatus((_, { reason }) => reason === "unauthenticated" && h.rt.close());
  h.link.end({ code: 4401 });
  await settled();
  expect([h.rt.status, asked]).toEqual(["stopped", 0]);
});

test("a snapshot that never comes, and heeds no signal, is given up and asked for again", async () => {
  // React Query's fetchQuery is one: it knows nothing of our signal.
  let fetched = 0;
  const h = observed({
    snapshot: () => (++fetched === 1 ? new Promise(() => {}) : Promise.resolve(snapshotAt("e-95"))),
  });
  h.rt.onSnapshot(() => {});
  await h.live();
  h.link.receive({ type: "system.resync", reason: "position_expired", id: "e-90" });
  await h.clock.advance(30_000);
  expect(h.rt.status).toBe("waiting");
  await h.clock.advance(500);
  h.link.live();
  expect([h.rt.status, fetched]).toEqual(["live", 2]);
});
