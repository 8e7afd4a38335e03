// The connection breaks, the server goes away: nothing is missed, nothing comes twice.
import { describe, expect } from "vitest";
import { test } from "../support/world.js";

describe.each(["websocket", "sse", "poll"] as const)("over %s", (transport) => {
  const only = { transports: [transport] };

  test("offline while others go on: what was missed is made up for", async ({ world }) => {
    const profile = await world.profile("guest");
    const tab = await world.tab(profile, only);
    await tab.reaches("live", transport);
    await world.say(5);

    // Both, for a browser that is offline keeps its connections to this machine.
    world.proxy.unplug();
    await profile.setOffline(true);
    await tab.reaches("offline");
    await world.say(10);
    const missed = (await world.log()).at(-1)!.cause; // in the log: a live event can't it be anymore
    world.proxy.heal();
    await profile.setOffline(false);

    await tab.reaches("live", transport);
    await world.say(5);
    await world.expectComplete();
    expect((await tab.seen()).find(({ causes }) => causes.includes(missed))).toMatchObject({ replayed: true });
  });

  test("cut in the midst of events, again and again", async ({ world }) => {
    const tab = await world.tab(await world.profile("guest"), only);
    await tab.reaches("live", transport);
    for (let i = 0; i < 4; i++) {
      world.proxy.set(transport, { cutAfterBytes: 2000 + 77 * i });
      await world.say(10);
    }
    world.proxy.heal();
    await world.expectComplete();
  });

  test("a link that hangs without a word is noticed, and replaced", async ({ world }) => {
    const tab = await world.tab(await world.profile("guest"), only);
    await tab.reaches("live", transport);
    world.proxy.set(transport, { hang: true });
    await world.say(5);
    await tab.reaches("waiting");
    world.proxy.heal();
    await world.expectComplete();
  });

  test("a slow network that overtakes itself", async ({ world }) => {
    const tab = await world.tab(await world.profile("guest"), only);
    await tab.reaches("live", transport);
    world.proxy.set("all", { delayMs: 30, reorderMs: 200 });
    await world.say(20);
    world.proxy.cut();
    await world.say(20);
    await world.expectComplete();
  });

  test("the server is restarted in order", async ({ world }) => {
    const tab = await world.tab(await world.profile("guest"), only);
    await tab.reaches("live", transport);
    await world.say(5);
    await world.server.stop();
    await tab.reaches("waiting");
    await world.server.start();
    await world.say(5);
    await world.expectComplete();
    expect((await tab.status()).transport).toBe(transport);
  });

  test("the server is killed", async ({ world }) => {
    const tab = await world.tab(await world.profile("guest"), only);
    await tab.reaches("live", transport);
    await world.say(5);
    await world.server.kill();
    await tab.reaches("waiting");
    await world.server.start();
    await world.say(5);
    await world.expectComplete();
    expect((await tab.status()).transport).toBe(transport);
  });
});
