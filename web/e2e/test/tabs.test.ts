// Many tabs of one person share a connection.
import { describe, expect } from "vitest";
import { eventually, type Tab } from "../support/tab.js";
import { test, type World } from "../support/world.js";

/** Live tabs in one profile; the first one has the connection. */
async function tabs(world: World, count: number, transport: "websocket" | "sse" | "poll"): Promise<Tab[]> {
  const profile = await world.profile("guest");
  const options = { transports: [transport], share: "always" } as const;
  for (let i = 0; i < count; i++) {
    await world.tab(profile, options);
    await world.tabs[i]!.reaches("live", transport);
  }
  await oneConnection(world, transport);
  return world.tabs;
}

const oneConnection = (world: World, transport: "websocket" | "sse" | "poll") =>
  eventually(() => expect(world.proxy.open(transport)).toBe(1));

test("eight tabs on SSE over HTTP/1.1 share one connection, and every command is answered", async ({ world }) => {
  // By default, and all at once: browsers allow six connections.
  const profile = await world.profile("guest");
  await Promise.all(Array.from({ length: 8 }, () => world.tab(profile, { transports: ["sse"] })));
  await Promise.all(world.tabs.map((tab) => tab.reaches("live", "sse")));
  for (const tab of world.tabs) {
    const { status, cause } = await tab.post(`/workspaces/acme/rooms/${world.room}/messages`, { body: "n-0" });
    expect(status).toBe(201);
    world.answered.push(cause!);
  }
  await world.say(10);
  await world.expectComplete();
  await oneConnection(world, "sse");
});

describe.each(["websocket", "sse", "poll"] as const)("over %s, the tab with the connection", (transport) => {
  test("is closed: another one goes on", async ({ world }) => {
    const [leader, ...others] = await tabs(world, 3, transport);
    await world.say(5);
    await leader!.page.close();
    await world.say(5);
    await world.expectComplete(others);
    await oneConnection(world, transport);
  });

  test("is frozen: another one goes on, and it misses nothing itself", async ({ world }) => {
    const [leader, ...others] = await tabs(world, 3, transport);
    await world.say(5);
    await leader!.freeze();
    await world.say(5);
    await world.expectComplete(others);
    await world.say(5);
    await leader!.thaw();
    await world.expectComplete();
    await oneConnection(world, transport);
  });
});

describe("the tab with the connection", () => {
  const transport = "sse";

  test("crashes: another one goes on", async ({ world }) => {
    const [leader, ...others] = await tabs(world, 3, transport);
    await world.say(5);
    const devtools = await leader!.context.newCDPSession(leader!.page);
    void devtools.send("Page.crash").catch(() => {}); // there is nobody left to answer
    await world.say(5);
    await world.expectComplete(others);
    await oneConnection(world, transport);
  });

  test("loses its connection, and so do all: all go on", async ({ world }) => {
    await tabs(world, 3, transport);
    for (let i = 0; i < 3; i++) {
      await world.say(3);
      world.proxy.cut();
    }
    await world.expectComplete();
    await oneConnection(world, transport);
  });

  test("serves a tab that comes late with what was long ago", async ({ world }) => {
    const [leader] = await tabs(world, 2, transport);
    await world.say(30);
    await world.tab(leader!.context, { transports: [transport], share: "always" });
    await world.say(3);
    await world.expectComplete();
    await oneConnection(world, transport);
  });
});

test("tabs in different rooms share a connection, and each hears its own room alone", async ({ world }) => {
  const { entity: room } = await world.owner.command("POST", "/workspaces/acme/rooms", { name: "Elsewhere" });
  const profile = await world.profile("guest");
  const one = await world.tab(profile, { transports: ["sse"] });
  const other = await world.tab(profile, { transports: ["sse"], rooms: [room.id] });
  await Promise.all([one.reaches("live"), other.reaches("live")]);
  await oneConnection(world, "sse");
  await world.say(3);
  const path = `/workspaces/acme/rooms/${room.id}/messages`;
  const said: string[] = [];
  for (let i = 0; i < 3; i++) said.push((await world.owner.command("POST", path, { body: "elsewhere" })).cause);
  await world.expectComplete([one]);
  await other.has(said.at(-1)!);
  const heard = (await other.seen()).filter(({ channel }) => channel?.startsWith("room:"));
  expect(heard.flatMap(({ causes }) => causes)).toEqual(said);
});
