// A React page shows what the database says, whatever happens in between.
import type { Page } from "playwright-core";
import { expect } from "vitest";
import { eventually, load } from "../support/tab.js";
import { test, type World } from "../support/world.js";

async function open(world: World): Promise<Page> {
  const page = await (await world.profile("guest")).newPage();
  await load(page, `${world.proxy.url}/people.html?room=${world.room}`);
  return page;
}

/** What should be on the screen, from the server. */
async function truth({ owner, room }: World) {
  const { members, teams } = await owner.snapshot();
  const answer = await owner.fetch(`${owner.url}/v1/workspaces/acme/rooms/${room}/messages?limit=200`);
  const { messages } = (await answer.json()) as { messages: { body: string }[] };
  return {
    members: members.map(({ name, roleId }) => `${name} ${roleId}`).sort(),
    teams: teams.map(({ name, memberIds }) => `${name} ${memberIds.length}`).sort(),
    messages: messages.map(({ body }) => body),
  };
}

async function shown(page: Page) {
  const lines = (id: string) => page.locator(`#${id} li`).allTextContents();
  return {
    members: (await lines("members")).sort(),
    teams: (await lines("teams")).sort(),
    messages: await lines("messages"),
  };
}

async function expectTruth(world: World, page: Page): Promise<void> {
  const expected = await truth(world);
  await eventually(async () => expect(await shown(page)).toEqual(expected));
}

/** Somebody joins, somebody is renamed, a team is made, something is said. */
async function changes({ owner, room }: World, n: number): Promise<void> {
  const { me, members } = await owner.snapshot();
  const path = "/workspaces/acme";
  await owner.command("PATCH", `${path}/members/${me.memberId}`, { name: `Olivia ${n}` });
  await owner.command("POST", `${path}/teams`, { name: `Team ${n}`, memberIds: [me.memberId] });
  await owner.command("POST", `${path}/rooms/${room}/messages`, { body: `n-${n}` });
  const admin = members.find(({ name }) => name.startsWith("Adam"))!;
  await owner.command("PATCH", `${path}/members/${admin.id}`, { name: `Adam ${n}` });
}

test("in StrictMode, over one connection", async ({ world }) => {
  const page = await open(world);
  await expectTruth(world, page);
  await changes(world, 1);
  await expectTruth(world, page);
  expect(world.proxy.requests("websocket")).toBe(1);
  expect(await page.locator("#members li", { hasText: "Gus" }).getAttribute("data-online")).toBe("true");
});

test("after the plug was pulled, and after the server was killed", async ({ world }) => {
  const page = await open(world);
  await expectTruth(world, page);
  world.proxy.unplug();
  await changes(world, 1);
  world.proxy.heal();
  await expectTruth(world, page);
  await world.server.kill();
  await world.server.start();
  await changes(world, 2);
  await expectTruth(world, page);
});

test("after a gap that can't be replayed, and never shows less meanwhile", async ({ world }) => {
  const page = await open(world);
  await changes(world, 1);
  await expectTruth(world, page);
  const names = page.locator("#members");
  await names.evaluate((list) => {
    new MutationObserver(() => list.children.length || list.setAttribute("data-flickered", "")).observe(list, {
      childList: true,
    });
  });
  await world.server.stop();
  world.server.run("log", "reset-epoch"); // as after a backup was restored
  await world.server.start();
  await changes(world, 2);
  await expectTruth(world, page);
  expect(await names.getAttribute("data-flickered")).toBeNull();
});

test("when the room is closed and opened again", async ({ world }) => {
  const page = await open(world);
  await changes(world, 1);
  await expectTruth(world, page);
  const button = page.getByRole("button", { name: "Room" });
  await button.click();
  await changes(world, 2);
  await button.click();
  await changes(world, 3);
  await expectTruth(world, page);
  for (let i = 0; i < 7; i++) await button.click();
  await changes(world, 4);
  await button.click();
  await changes(world, 5);
  await expectTruth(world, page);
});
