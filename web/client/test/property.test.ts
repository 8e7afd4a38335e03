import { expect, test } from "vitest";
import { createRealtime, type RoomHandle, type ServerEvent } from "../src/index.js";
import { FakeClock, seeded } from "./support/clock.js";
import { FakeEnvironment, FakeStorage } from "./support/harness.js";
import { offsetOf, Witness } from "./support/witness.js";
import { NO_FAULTS, World } from "./support/world.js";

const RUNS = Number(process.env.ORBIT_RUNS ?? 500);
const ROOMS = ["a", "b", "c"];
const FAULTS = { blocked: 0.2, hung: 0.1, drop: 0.03, stall: 0.01, repeat: 0.1, http: 0.2, trim: 0.02 };

// The ideal log is what the world appended. Whatever the network does to links,
// requests and the machine, the client delivers it once and in order.
for (let seed = 1; seed <= RUNS; seed++) {
  test(`an ideal log is delivered exactly once and in order (seed ${seed})`, async () => {
    const random = seeded(seed);
    const clock = new FakeClock();
    const environment = new FakeEnvironment();
    const world = new World(clock, random);
    for (let i = 0; i < 20; i++) world.append("workspace:ws_1");

    const withSnapshot = seed % 5 !== 0;
    const rt = createRealtime({
      workspace: "acme",
      baseUrl: "http://orbit.test",
      position: world.id(10),
      rooms: seed % 2 ? ["a"] : [],
      transports: ["websocket", "sse", "poll"].map((name) => world.transport(name)),
      snapshot: world.snapshot,
      fetch: world.fetch,
      storage: new FakeStorage(),
      clock,
      random,
      environment,
    });
    const workspace = new Witness(world, "workspace:ws_1", 10);
    const rooms = new Map<string, Witness>();
    if (seed % 2) rooms.set("a", new Witness(world, "room:a", 10));
    rt.on("*", (event: ServerEvent) => {
      if (!event.id || !event.channel) return;
      const witness = event.channel.startsWith("room:") ? rooms.get(event.channel.slice(5)) : workspace;
      expect(witness, `nobody is in ${event.channel}`).toBeDefined();
      witness!.saw(offsetOf(event.id));
    });
    if (withSnapshot)
      rt.onSnapshot(({ position }) => {
        for (const witness of [workspace, ...rooms.values()]) witness.covered(offsetOf(position));
      });

    const handles = new Map<string, RoomHandle>();
    const errors: unknown[] = [];
    const failed = (error: unknown) => void errors.push(error);
    process.on("uncaughtException", failed);
    try {
      world.faults = withSnapshot ? FAULTS : { ...FAULTS, trim: 0 };
      rt.start();
      for (let step = 0; step < 400 && errors.length === 0; step++) {
        const dice = random();
        const room = ROOMS[Math.floor(random() * ROOMS.length)]!;
        if (dice < 0.4) world.append("workspace:ws_1");
        else if (dice < 0.7) world.append(`room:${room}`);
        else if (dice < 0.76) world.append("room:nobodys");
        else if (dice < 0.82) {
          const handle = handles.get(room);
          if (handle) {
            handle.close();
            handles.delete(room);
            if (!(room === "a" && seed % 2)) rooms.delete(room);
          } else if (rt.position !== null) {
            const position = rt.position;
            if (!rooms.has(room)) rooms.set(room, new Witness(world, `room:${room}`, offsetOf(position)));
            handles.set(room, rt.room(room));
          }
        } else if (dice < 0.84) environment.signals?.wake();
        else if (dice < 0.86) environment.signals?.online();
        else if (dice < 0.87) environment.signals?.hide();
        else if (dice < 0.89) environment.signals?.show();
        else if (dice < 0.9) environment.isOnline = !environment.isOnline;
        else if (dice < 0.905) rt.close();
        else if (dice < 0.93) rt.start();
        else if (dice < 0.935) clock.sleep(random() * 20_000);
        else if (dice < 0.937 && withSnapshot) world.newEpoch();
        else world.heartbeat();
        await clock.advance(random() * 400);
      }
      // The network heals, and everything must arrive.
      world.faults = NO_FAULTS;
      environment.isOnline = true;
      rt.start();
      environment.signals?.show();
      for (let i = 0; i < 60; i++) {
        await clock.advance(1000);
        world.heartbeat();
      }
      expect(errors).toEqual([]);
      expect(rt.status).toBe("live");
      workspace.complete();
      rooms.forEach((witness) => witness.complete());
    } finally {
      rt.close();
      process.off("uncaughtException", failed);
    }
    expect(clock.pending).toBeLessThan(5); // of the world, which goes on
  });
}
