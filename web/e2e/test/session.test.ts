// The right to listen ends.
import { describe, expect } from "vitest";
import { check } from "../support/complete.js";
import { test } from "../support/world.js";

describe.each(["websocket", "sse", "poll"] as const)("over %s", (transport) => {
  const only = { transports: [transport] };

  test("signing out in one tab stops the others, which ask for signing in once", async ({ world }) => {
    const profile = await world.profile("guest");
    const [one, other] = [await world.tab(profile, only), await world.tab(profile, only)];
    await Promise.all([one.reaches("live"), other.reaches("live")]);
    await world.say(3);
    await world.expectComplete();

    expect(await other.post("/logout", {})).toMatchObject({ status: 204 });
    await Promise.all([one.reaches("stopped"), other.reaches("stopped")]);
    expect([await one.asked(), await other.asked()]).toEqual([1, 1]);
    const until = (await one.seen()).length;
    await world.say(3);
    await world.log();
    expect((await one.seen()).length).toBe(until);
  });

  test("a removed member learns it as the last thing, and stops", async ({ world }) => {
    const guest = await world.server.signIn("guest");
    const { me } = await guest.snapshot();
    const tab = await world.tab(await world.profile("guest"), only);
    await tab.reaches("live");
    await world.say(3);
    const removal = await world.command("DELETE", `/workspaces/acme/members/${me.memberId}`);
    const before = [...world.answered];
    await world.say(3);
    await tab.reaches("stopped");
    expect(await tab.asked()).toBe(0); // signing in again doesn't help

    const log = await world.log();
    check(await tab.seen(), log.slice(0, log.findLastIndex(({ cause }) => cause === removal) + 1), before);
  });
});
