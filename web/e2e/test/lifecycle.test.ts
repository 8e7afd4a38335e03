// What browsers do to pages: freeze them, put them away, load them again.
import { expect } from "vitest";
import { eventually } from "../support/tab.js";
import { launch, test, World } from "../support/world.js";

test("a page that is left and come back to, from the back/forward cache", async () => {
  const browser = await launch(["--disable-back-forward-cache"]); // Playwright's default
  const world = await World.make(browser);
  try {
    const tab = await world.tab(await world.profile("guest"));
    await tab.reaches("live");
    await world.say(3);
    await tab.page.evaluate(() => {
      addEventListener("pageshow", ({ persisted }) => (document.title = persisted ? "restored" : "loaded"));
      location.assign("/elsewhere.html");
    });
    await eventually(async () => expect(await tab.page.title()).toBe("Elsewhere"));
    await world.say(3);
    await tab.page.evaluate(() => history.back());
    await eventually(async () => expect(await tab.page.title()).toBe("restored"));
    await world.say(3);
    await world.expectComplete();
  } finally {
    await world.close();
    await browser.close();
  }
});

test.for(["websocket", "sse", "poll"] as const)(
  "a tab that is frozen for a while, over %s",
  async (only, { world }) => {
    const tab = await world.tab(await world.profile("guest"), { transports: [only] });
    await tab.reaches("live");
    await world.say(3);

    // The browser keeps the connection of a frozen page, and what came waits in it.
    await tab.freeze();
    await world.say(5);
    await tab.thaw();
    await world.expectComplete();

    await tab.freeze();
    await world.say(5);
    world.proxy.cut();
    await world.say(5);
    await tab.thaw();
    await world.expectComplete();
  },
);

test.for(["websocket", "sse", "poll"] as const)(
  "a hidden tab whose timers are late, and whose connection died without a word, over %s",
  async (only, { world }) => {
    const profile = await world.profile("guest");
    await profile.addInitScript(() => {
      const { setTimeout } = window;
      let lateMs = 60_000; // as browsers throttle tabs that were hidden for long
      document.addEventListener("visibilitychange", () => (lateMs = 0), { capture: true });
      window.setTimeout = ((fn: () => void, ms = 0) =>
        setTimeout(fn, ms < 100 ? ms : ms + lateMs)) as typeof setTimeout;
    });
    const tab = await world.tab(profile, { transports: [only] });
    await tab.reaches("live");
    await world.say(3);
    await world.expectComplete();

    world.proxy.lose();
    const since = Date.now();
    await world.say(5);
    await eventually(() => expect(Date.now() - since).toBeGreaterThan(2500)); // more than a heartbeat and a half
    expect(await tab.status()).toMatchObject({ status: "live" }); // it can't know
    await tab.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange"))); // somebody looks
    await tab.reaches("live");
    await world.expectComplete();
  },
);

test("a page that is loaded again goes on", async ({ world }) => {
  const tab = await world.tab(await world.profile("guest"));
  await tab.reaches("live");
  await world.say(3);
  await tab.page.reload();
  await tab.reaches("live");
  await world.expectComplete();
});
