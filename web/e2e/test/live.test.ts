import { test } from "../support/world.js";

test("a change by one person shows in another's browser", async ({ world }) => {
  const one = await world.tab(await world.profile("owner"));
  const other = await world.tab(await world.profile("guest"));
  await Promise.all([one.reaches("live", "websocket"), other.reaches("live", "websocket")]);
  await world.say(20);
  await world.expectComplete();
});
