// Networks that let only some transports through, and those that change their mind.
import { describe, expect } from "vitest";
import type { Fault } from "../support/faults.js";
import { eventually, type Tab } from "../support/tab.js";
import { test, type World } from "../support/world.js";

describe.each<[string, Fault]>([
  ["refused", { refuse: 403 }],
  ["reset", { refuse: "reset" }],
  ["hung", { hang: true }],
  ["not passed on", { stripUpgrade: true }],
  ["cut off as soon as it is open", { cutAfterBytes: 150 }],
])("an upgrade that is %s", (_, fault) => {
  test("makes the client go on over SSE", async ({ world }) => {
    world.proxy.set("websocket", fault);
    const tab = await world.tab(await world.profile("guest"));
    await tab.reaches("live", "sse");
    await world.say(10);
    await world.expectComplete();
  });
});

test("SSE that is buffered as well makes it go on by long poll", async ({ world }) => {
  world.proxy.set("websocket", { refuse: 400 });
  world.proxy.set("sse", { buffer: true });
  const tab = await world.tab(await world.profile("guest"));
  await tab.reaches("live", "poll");
  await world.say(10);
  await world.expectComplete();
});

test("a WebSocket that works and is cut, time after time, is given up for SSE", async ({ world }) => {
  const tab = await world.tab(await world.profile("guest"));
  await tab.reaches("live", "websocket");
  for (let i = 0; i < 10 && (await tab.status()).transport !== "sse"; i++) {
    world.proxy.cut("websocket");
    await world.say(3);
    await eventually(async () => expect((await tab.status()).status).toBe("live"));
  }
  expect(await tab.status()).toMatchObject({ status: "live", transport: "sse" });
  await world.expectComplete();
});

test("an upgrade that is blocked and free by turns costs nothing but the transport", async ({ world }) => {
  const tab = await world.tab(await world.profile("guest"));
  for (let i = 0; i < 6; i++) {
    world.proxy.set("websocket", i % 2 ? {} : { refuse: 502 });
    world.proxy.cut("websocket");
    await world.say(5);
  }
  await world.expectComplete();
  expect(await tab.snapshots()).toEqual([]);
});

describe("a network that lets WebSocket through again", () => {
  /** A tab that is live over SSE, because WebSocket was blocked; it isn't any longer. */
  async function unblocked(world: World): Promise<Tab> {
    world.proxy.set("websocket", { refuse: 403 });
    const tab = await world.tab(await world.profile("guest"));
    await tab.reaches("live", "sse");
    world.proxy.heal();
    return tab;
  }

  test("is tried after a while beside the live stream, which it replaces", async ({ world }) => {
    const tab = await unblocked(world);
    const tried = world.proxy.requests("websocket");
    // The ten minutes of the memory are nearly over.
    await tab.page.evaluate(() => {
      const key = Object.keys(localStorage).find((key) => key.startsWith("orbit:transport:"))!;
      const kept = JSON.parse(localStorage[key] as string) as { name: string; until: number };
      localStorage[key] = JSON.stringify({ ...kept, until: Date.now() + 2500 });
    });
    await tab.page.reload();
    await tab.reaches("live", "sse");
    expect(world.proxy.requests("websocket")).toBe(tried); // it remembered

    await world.say(5);
    await tab.reaches("live", "websocket");
    await world.say(5);
    await world.expectComplete();
    const statuses = (await tab.statuses()).map(({ status }) => status);
    expect(new Set(statuses.slice(statuses.indexOf("live")))).toEqual(new Set(["live"]));
    await eventually(() => expect(world.proxy.open("sse")).toBe(0));
  });

  test("is noticed at once when the browser reports another network", async ({ world }) => {
    const tab = await unblocked(world);
    const profile = tab.context;
    await profile.setOffline(true); // the stream to this machine stays open
    await profile.setOffline(false);
    await tab.reaches("live", "websocket");
    await world.say(5);
    await world.expectComplete();
  });
});
