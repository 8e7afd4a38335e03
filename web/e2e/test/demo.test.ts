// The demo page of `serve --demo`: each button does what it says, and the counter never lies.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import type { AxeResults } from "axe-core";
import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";
import { eventually, load } from "../support/tab.js";
import { test, type World } from "../support/world.js";

const side = (page: Page, which: "left" | "right") =>
  page.getByRole("region", { name: `The ${which} person`, exact: true });
const press = (within: Page | Locator, name: string | RegExp) => within.getByRole("button", { name }).click();
const role = (of: Locator, member: string) => of.getByRole("combobox", { name: `Role of ${member}` });
const chosen = (select: Locator) =>
  select.evaluate((element) => (element as HTMLSelectElement).selectedOptions[0]?.text);

async function open({ browser, server }: World, colorScheme: "light" | "dark" = "light"): Promise<Page> {
  const page = await (await browser.newContext({ colorScheme })).newPage();
  await load(page, server.url);
  await Promise.all([connected(page, "left", "WebSocket"), connected(page, "right", "WebSocket")]);
  return page;
}

const connected = (page: Page, which: "left" | "right", transport: string, timeout?: number) =>
  eventually(async () => {
    const text = await side(page, which).locator(".status-place").innerText();
    expect(text).toMatch(new RegExp(`^Live\\s+${transport}`));
  }, timeout);

/** The numbers of the counter, by their labels. */
async function figures(page: Page): Promise<Record<string, number>> {
  const shown = await page
    .locator(".counter .figure")
    .evaluateAll((all) =>
      all.map((one) => [one.querySelector("dt")!.textContent, one.querySelector("dd")!.firstChild!.textContent]),
    );
  return Object.fromEntries(shown.map(([label, value]) => [label, Number(value!.replaceAll(",", ""))]));
}

/** Both sides have all that was sent. */
async function expectAllArrived(page: Page, atLeast: number): Promise<void> {
  await eventually(async () => {
    const { Sent, ...others } = await figures(page);
    expect(Sent).toBeGreaterThanOrEqual(atLeast);
    expect(others).toEqual({ "Received left": Sent, "Received right": Sent, "In flight": 0, Lost: 0, Twice: 0 });
  }, 40_000);
}

test("a role that is changed on the left, by keyboard alone, changes on the right", async ({ world }) => {
  const page = await open(world);
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
  for (let i = 0; i < 60 && (await focused()) !== "Role of Gus Guest"; i++) await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowUp"); // guest → admin
  await eventually(async () => expect(await chosen(role(side(page, "right"), "Gus Guest"))).toBe("admin"));
  await expectAllArrived(page, 1);
});

test("a flood, with the plug pulled on the right and the server crashing: nothing lost, nothing twice", async ({
  world,
}) => {
  const page = await open(world);
  await press(page, /^Flood/);
  await eventually(async () => expect((await figures(page)).Sent).toBeGreaterThan(50));
  await press(side(page, "right"), /^Pull the plug/);
  await eventually(async () => expect((await figures(page)).Sent).toBeGreaterThanOrEqual(1000), 40_000);
  await press(page, /^Crash the server/);
  await eventually(async () => expect(await page.locator(".server").innerText()).toContain("start 2"), 40_000);
  await eventually(() => press(side(page, "right"), /^Pull the plug/));
  await expectAllArrived(page, 1000);
});

test("the buttons for the network change the transport, and back", async ({ world }) => {
  const page = await open(world);
  const left = side(page, "left");
  for (const [button, transport] of [
    [/^Block WebSocket/, "SSE"],
    [/^Buffer SSE/, "Long poll"],
  ] as const) {
    await press(left, button);
    // A transport that has worked before is given up after three failures, with growing pauses in between.
    await connected(page, "left", transport, 45_000);
    await role(left, "Gus Guest").selectOption(transport === "SSE" ? "admin" : "guest");
    await press(left, button);
  }
  await connected(page, "right", "WebSocket"); // it isn't concerned
  await expectAllArrived(page, 2);
}, 120_000);

test("an orderly restart: both sides come back, and go on", async ({ world }) => {
  const page = await open(world);
  await press(page, /^Restart the server/);
  await eventually(async () => expect(await page.locator(".server").innerText()).toContain("start 2"));
  await role(side(page, "left"), "Gus Guest").selectOption("admin");
  await eventually(async () => expect(await chosen(role(side(page, "right"), "Gus Guest"))).toBe("admin"));
  await expectAllArrived(page, 1);
});

test("a broken projector holds its changes, and says so; mended, the next change heals", async ({ world }) => {
  const page = await open(world);
  const left = side(page, "left");
  await press(page, /^Break a projector/);
  await page.getByRole("button", { name: /^Mend the projector/ }).waitFor();
  await role(left, "Gus Guest").selectOption("admin");
  await eventually(async () => expect(await figures(page)).toMatchObject({ Held: 1, Lost: 0, Twice: 0 }));
  await press(page, /^Mend the projector/);
  await page.getByRole("button", { name: /^Break a projector/ }).waitFor();
  await world.owner.command("PATCH", "/workspaces/acme", { name: "Acme" }); // another aggregate heals nothing
  expect(await figures(page)).toMatchObject({ Held: 1 });
  await role(left, "Gus Guest").selectOption("owner");
  await expectAllArrived(page, 2);
});

test.for(["light", "dark"] as const)("axe finds nothing to complain of, in %s", async (scheme, { world }) => {
  const page = await open(world, scheme);
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  for (const tab of ["Members", "Rooms", "Roles", "Teams", "Plan"]) {
    await page.getByRole("tab", { name: tab }).click();
    const { violations } = (await page.evaluate(`${axe}; axe.run()`)) as AxeResults;
    expect(
      violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
      tab,
    ).toEqual([]);
  }
});
