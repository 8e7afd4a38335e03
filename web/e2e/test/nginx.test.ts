// A real nginx between the browser and the server.
import { describe, expect, inject, onTestFinished } from "vitest";
import { defaultSettings, documentedSettings, Nginx } from "../support/nginx.js";
import type { Tab } from "../support/tab.js";
import { test, type World } from "../support/world.js";

async function behind(settings: string, world: World): Promise<Tab> {
  const nginx = await Nginx.start(settings, world.proxy.url);
  onTestFinished(() => nginx.stop());
  return world.tab(await world.profile("guest", nginx.url), {}, nginx.url);
}

const post = (tab: Tab, room: string) => tab.post(`/workspaces/acme/rooms/${room}/messages`, { body: "n-0" });

describe.skipIf(!inject("nginx"))("behind nginx", () => {
  test("with its default settings, which pass no upgrade on: live over SSE, unbuffered", async ({ world }) => {
    const tab = await behind(defaultSettings, world);
    await tab.reaches("live", "sse");
    await world.say(10);
    await world.expectComplete();
    expect(await post(tab, world.room)).toMatchObject({ status: 403 }); // as documented
  });

  test("with the settings of our documentation: live over WebSocket, and commands work", async ({ world }) => {
    const tab = await behind(documentedSettings(), world);
    await tab.reaches("live", "websocket");
    const { status, cause } = await post(tab, world.room);
    expect(status).toBe(201);
    world.answered.push(cause!);
    await world.say(10);
    world.proxy.cut();
    await world.say(10);
    await world.expectComplete();
  });
});
