// Tabs of one person that open, close, crash, freeze and change rooms at random,
// on a bad network: each of them is given the ideal log, once and in order.
import { expect, test } from "vitest";
import "../../src/shared/shared.js"; // loaded: the fake clock doesn't wait for files
import { createRealtime, type Realtime, type RoomHandle, type ServerEvent } from "../../src/index.js";
import { FakeBrowser, type FakeTab } from "../support/browser.js";
import { FakeClock, seeded, settled } from "../support/clock.js";
import { FakeEnvironment, FakeStorage } from "../support/harness.js";
import { offsetOf, Witness } from "../support/witness.js";
import { NO_FAULTS, World, type Faults } from "../support/world.js";

/** `ORBIT_SEED=12` runs one again. */
const FIRST = Number(process.env.ORBIT_SEED ?? 1);
const RUNS = Number(process.env.ORBIT_RUNS ?? (process.env.ORBIT_SEED ? 1 : 120));
const ROOMS = ["a", "b", "c"];
const FAULTS: Faults = { blocked: 0.1, hung: 0.05, drop: 0.02, stall: 0.01, repeat: 0.05, http: 0.1, trim: 0 };

class Page {
  readonly environment = new FakeEnvironment();
  readonly rt: Realtime;
  readonly rooms = new Map<string, { handle: RoomHandle; witness: Witness }>();
  readonly presence = new Set<string>();
  readonly #workspace: Witness;

  constructor(
    readonly world: World,
    readonly tab: FakeTab,
    random: () => number,
    transports: readonly string[],
    from: number,
    withSnapshot: boolean,
  ) {
    this.#workspace = new Witness(world, "workspace:ws_1", from);
    this.rt = createRealtime({
      workspace: "acme",
      baseUrl: "http://orbit.test",
      position: world.id(from),
      transports: transports.map((name) => tab.transport(world.transport(name))),
      share: "always",
      tabs: tab,
      snapshot: () => new Promise((resolve, reject) => void world.snapshot().then((s) => tab.run(() => resolve(s)), reject)),
      fetch: tab.fetch(world.fetch),
      storage: new FakeStorage(),
      clock: tab.clock,
      random,
      environment: this.environment,
    });
    this.rt.on("system.hello", ({ presence }) => {
      this.presence.clear();
      for (const id of presence) this.presence.add(id);
    });
    this.rt.on("presence.update", ({ memberId, online }) => {
      if (online) this.presence.add(memberId);
      else this.presence.delete(memberId);
    });
    this.rt.on("*", (event: ServerEvent) => {
      if (!event.id || !event.channel) return;
      const room = event.channel.startsWith("room:") ? this.rooms.get(event.channel.slice(5)) : null;
      const witness = room === null ? this.#workspace : room?.witness;
      expect(witness, `nobody is in ${event.channel}`).toBeDefined();
      witness!.saw(offsetOf(event.id));
    });
    if (withSnapshot)
      this.rt.onSnapshot(({ position }) => {
        for (const witness of this.#witnesses) witness.covered(offsetOf(position));
      });
    this.rt.start();
  }

  get #witnesses(): Witness[] {
    return [this.#workspace, ...[...this.rooms.values()].map(({ witness }) => witness)];
  }

  toggle(room: string): void {
    const open = this.rooms.get(room);
    if (open) {
      open.handle.close();
      this.rooms.delete(room);
    } else if (this.rt.position !== null) {
      const witness = new Witness(this.world, `room:${room}`, offsetOf(this.rt.position));
      this.rooms.set(room, { handle: this.rt.room(room), witness });
    }
  }

  complete(): void {
    for (const witness of this.#witnesses) witness.complete();
  }
}

for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
  test(`tabs that share a connection lose nothing and repeat nothing (seed ${seed})`, async () => {
    const random = seeded(seed);
    const pick = <T>(all: readonly T[]): T | undefined => all[Math.floor(random() * all.length)];
    const clock = new FakeClock();
    const world = new World(clock, random);
    const browser = new FakeBrowser(clock);
    browser.delayMs = () => random() * 20;
    browser.loses = () => random() < (seed % 3 ? 0 : 0.05);
    for (let i = 0; i < 20; i++) world.append("workspace:ws_1");
    const transports = [["sse"], ["poll"], ["sse", "poll"], ["websocket", "sse"]][seed % 4]!;
    const withSnapshot = seed % 5 !== 0;

    const pages = new Set<Page>();
    const errors: unknown[] = [];
    const failed = (error: unknown) => void errors.push(error);
    process.on("uncaughtException", failed);
    try {
      world.faults = FAULTS;
      for (let step = 0; step < 300 && errors.length === 0; step++) {
        const dice = random();
        const page = pick([...pages]);
        if (dice < 0.3) world.append("workspace:ws_1");
        else if (dice < 0.5) world.append(`room:${pick(ROOMS)}`);
        else if (dice < 0.55) world.append("room:nobodys");
        else if (dice < 0.6) world.flip(pick(["mem_2", "mem_3", "mem_4"])!);
        else if (!page || (dice < 0.65 && pages.size < 5)) {
          const from = world.head - Math.floor(random() * 5);
          pages.add(new Page(world, browser.tab(), random, transports, from, withSnapshot));
        } else if (dice < 0.7) page.tab.run(() => page.toggle(pick(ROOMS)!));
        else if (dice < 0.715) {
          page.tab.run(() => page.rt.close());
          if (page.tab.frozen) page.tab.crash();
          pages.delete(page);
        } else if (dice < 0.725) {
          page.tab.crash();
          pages.delete(page);
        } else if (dice < 0.745) page.tab.freeze();
        else if (dice < 0.79) page.tab.thaw();
        else if (dice < 0.81) page.tab.run(() => page.environment.signals?.wake());
        else if (dice < 0.82) page.tab.run(() => page.environment.signals?.online());
        else if (dice < 0.83) page.tab.run(() => page.environment.signals?.hide());
        else if (dice < 0.87) page.tab.run(() => page.environment.signals?.show());
        else if (dice < 0.875 && withSnapshot) world.newEpoch();
        else world.heartbeat();
        await clock.advance(random() * 400);
      }
      // All is well again, and everything must arrive.
      world.faults = NO_FAULTS;
      browser.loses = () => false;
      for (const page of pages) {
        page.tab.thaw();
        page.environment.signals?.show();
      }
      for (let i = 0; i < 60; i++) {
        await clock.advance(1000);
        world.heartbeat();
      }
      expect(errors).toEqual([]);
      for (const page of pages) {
        expect(page.rt.status).toBe("live");
        page.complete();
        expect(page.presence).toEqual(world.online);
      }
      // And one session serves them all.
      const used = new Set([...pages].map(({ rt }) => rt.transport));
      expect(world.sessions).toBe(used.size);
    } finally {
      for (const { rt } of pages) rt.close();
      process.off("uncaughtException", failed);
    }
    await settled();
    expect(browser.channels.size).toBe(0);
    expect(browser.held.size).toBe(0);
    for (const { tab } of pages) expect(tab.timers.size).toBe(0);
  });
}
