// ORBIT_CHAOS_SECONDS=600 for a soak; ORBIT_CHAOS_SEED to do the same again.
import { setTimeout as sleep } from "node:timers/promises";
import { expect, inject, test } from "vitest";
import { seeded } from "../../client/test/support/clock.js";
import { Chaos } from "../support/chaos.js";
import { check } from "../support/complete.js";
import { launch, World } from "../support/world.js";

const seconds = Number(process.env.ORBIT_CHAOS_SECONDS ?? 15);
const seed = Number(process.env.ORBIT_CHAOS_SEED ?? Math.floor(Math.random() * 1e9));

test.skipIf(!inject("chromium"))(
  `${seconds} seconds of chaos with a flood on: nothing lost, nothing twice, in order (seed ${seed})`,
  async ({ task }) => {
    const browser = await launch();
    const world = await World.make(browser, seeded(seed + 1));
    const chaos = new Chaos(world, seeded(seed), [await world.profile("guest"), await world.profile("admin")]);
    for (let i = 0; i < 5; i++) await chaos.openTab();

    let over = false;
    // No server: whether it was said or renamed all the same, the log will tell.
    const repeatedly = async (act: () => Promise<unknown>, pauseMs: number) => {
      while (!over)
        await act().then(
          () => sleep(pauseMs),
          () => sleep(50),
        );
    };
    const rename = () => world.owner.command("PATCH", "/workspaces/acme", { name: `Acme ${Date.now()}` });
    const flood = Promise.all([
      repeatedly(() => world.say(), 5),
      repeatedly(() => world.say(), 20),
      repeatedly(rename, 30),
    ]);
    try {
      const end = Date.now() + seconds * 1000;
      while (Date.now() < end) await chaos.step();
      await chaos.end();
      over = true;
      await flood;

      const healed = Date.now();
      await world.expectComplete(world.tabs, 60_000);
      const caughtUp = Date.now() - healed;
      const log = await world.log();
      for (const seen of chaos.closed) {
        const last = seen.findLast(({ id, channel }) => id && channel);
        check(seen, log.slice(0, log.findIndex(({ id }) => id === last?.id) + 1), []);
      }
      const replayed = (await world.tabs[0]!.seen()).filter((seen) => seen.replayed).length;
      const tabs = `${world.tabs.length} tabs (the first had ${replayed} replayed), complete after ${caughtUp} ms`;
      console.log(`${log.length} entries, ${tabs}`);
      expect(log.length).toBeGreaterThan(seconds);
    } catch (error) {
      console.error(`what is left of it: ${await world.report(task.name)}`);
      throw error;
    } finally {
      over = true;
      await flood;
      await world.close();
      await browser.close();
    }
  },
  seconds * 1000 + 150_000,
);
