// Operators in a real browser: what broke, is it safe to press the button, and did the tabs heal?
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import { eventually } from "../support/tab.js";
import { test, type World } from "../support/world.js";

/** Where operators connect: the demo's page knows. */
async function admin(world: World): Promise<string> {
  const response = await fetch(`${world.server.url}/demo/state`);
  return ((await response.json()) as { admin: string }).admin;
}

async function button(world: World, name: "break" | "mend", body: object): Promise<void> {
  const response = await fetch(`${world.server.url}/demo/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
}

const posted = "rooms.message.posted";

interface Message {
  id: string;
  state: string;
  fingerprint: string;
}

async function messages(world: World, state: string): Promise<Message[]> {
  const response = await fetch(`${await admin(world)}/admin/v1/poison/messages?state=${state}`);
  return ((await response.json()) as { items: Message[] }).items;
}

/** Breaks the projector of messages and says so many things, which fail. The projector is mended then. */
async function poison(world: World, count: number): Promise<Message[]> {
  await button(world, "break", { type: posted, how: "panic" });
  await world.say(count);
  await eventually(async () => expect(await messages(world, "open")).toHaveLength(count));
  await button(world, "mend", { type: posted });
  return messages(world, "open");
}

/** A page of the console, and everything that it complained about. */
async function open(
  world: World,
  path: string,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; complaints: string[] }> {
  const context = await world.browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (m) => m.type() === "error" && complaints.push(m.text()));
  page.on("pageerror", (e) => complaints.push(String(e)));
  await page.goto((await admin(world)) + path);
  return { page, complaints };
}

/** Goes on with the Tab key until the focus is on what has this text. */
async function tabTo(page: Page, text: RegExp): Promise<void> {
  const seen: string[] = [];
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const e = document.activeElement as HTMLElement;
      return e.getAttribute("aria-label") ?? (e.innerText || (e as HTMLInputElement).value || e.tagName);
    });
    seen.push(focused);
    if (text.test(focused)) return;
  }
  throw new Error(`the Tab key never came to ${text}: ${seen.join(" | ")}`);
}

test("with the keyboard alone: from the dashboard to tabs that have healed", async ({ world }) => {
  const tab = await world.tab(await world.profile("guest"));
  await tab.reaches("live");
  await poison(world, 3);

  const { page, complaints } = await open(world, "/ops");
  await tabTo(page, /^Poison queue/);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/ops/poison");
  await tabTo(page, /broken on purpose/);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/ops/poison/groups/*");
  await tabTo(page, /^Requeue all 3/);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/ops/operations/new?*");
  await page.getByText("It would work, and send 1 event").waitFor();
  await tabTo(page, /^Requeue 3$/);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/ops/operations/op_*");
  await page.getByText("3 of 3 have an outcome").waitFor();
  expect(await page.locator("h1 .state").innerText()).toBe("done");

  await eventually(async () => expect(await messages(world, "healed")).toHaveLength(3));
  await world.expectComplete(); // each of them reached the tab, once
  expect(complaints).toEqual([]);
});

test("the dashboard is live, by itself", async ({ world }) => {
  const { page, complaints } = await open(world, "/ops");
  await page.locator(".verdict.healthy").waitFor();
  await poison(world, 1);
  await page.locator(".verdict.poisoned").waitFor();
  await eventually(async () => expect(await page.locator(".badge").innerText()).toBe("1"));
  expect(complaints).toEqual([]); // the policy lets everything through that the page needs
});

test("two operators press the same button: one did it, the other is told", async ({ world }) => {
  const [message] = await poison(world, 1);
  const path = `/ops/poison/messages/${message!.id}`;
  const [one, other] = [(await open(world, path)).page, (await open(world, path)).page];
  await one.getByRole("button", { name: "Requeue" }).click();
  await one.getByText("Requeued. It goes back").waitFor();
  await other.getByRole("button", { name: "Requeue" }).click();
  expect(await other.getByRole("alert").innerText()).toContain("Not done.");
  await world.expectComplete();
});

test("discarded with a reason, found in the audit, and restored", async ({ world }) => {
  const [message] = await poison(world, 1);
  const { page } = await open(world, `/ops/poison/messages/${message!.id}`);
  await page.getByText("Discard…").click();
  await page.getByLabel("Why?").fill("a test of the reason");
  await page.getByRole("button", { name: "Discard", exact: true }).click();
  await page.getByText("It can be restored").waitFor();
  await page.getByRole("button", { name: "Restore" }).click();
  await page.getByText("it is open again").waitFor();
  await page.getByRole("link", { name: "Audit" }).click();
  await page.getByText("a test of the reason").waitFor();
  expect(await messages(world, "open")).toHaveLength(1);
});

test("selected messages alone", async ({ world }) => {
  const found = await poison(world, 3);
  const { page } = await open(world, "/ops/poison/messages");
  const requeue = page.getByRole("button", { name: "Requeue selected…" });
  expect(await requeue.isDisabled()).toBe(true);
  await page.getByLabel(`Pick ${found[0]!.id}`).check();
  await page.getByLabel(`Pick ${found[2]!.id}`).check();
  await page.getByText("2 selected").waitFor();
  await requeue.click();
  await page.getByRole("button", { name: "Requeue 2" }).click();
  await page.getByText("2 of 2 have an outcome").waitFor();
  expect((await messages(world, "open")).map(({ id }) => id)).toEqual([found[1]!.id]);
});

test("what failed is text, whatever it says", async ({ world }) => {
  const hostile = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>\u202Egnp.exe";
  await button(world, "break", { type: posted, how: "error" });
  await world.command("POST", `/workspaces/acme/rooms/${world.room}/messages`, { body: hostile });
  await eventually(async () => expect(await messages(world, "open")).toHaveLength(1));
  await button(world, "mend", { type: posted });
  const [message] = await messages(world, "open");
  const { page, complaints } = await open(world, `/ops/poison/messages/${message!.id}`);
  await page.locator("#preview", { hasText: "It would work" }).waitFor();
  expect(await page.locator("#preview").innerText()).toContain("<script>window.pwned");
  expect(await page.locator("main").innerText()).toContain("⟨U+202E⟩gnp.exe");
  expect(await page.evaluate(() => (window as { pwned?: number }).pwned)).toBeUndefined();
  expect(complaints).toEqual([]);
});

test("without JavaScript the queue can be read, and a button does what it says", async ({ world }) => {
  const [message] = await poison(world, 1);
  const { page } = await open(world, "/ops/poison", { javaScriptEnabled: false });
  await page.getByText("broken on purpose").click();
  await page.getByRole("link", { name: "broken on purpose" }).click();
  await page.waitForURL(`**/messages/${message!.id}`);
  await page.getByRole("button", { name: "Requeue" }).click();
  await page.getByText("Requeued. It goes back").waitFor();
  await world.expectComplete();
});

test("nobody signs in without a token, and a viewer has no buttons", async ({ world }) => {
  const tokens = "alice:operator:token-of-alice-01,bob:viewer:token-of-bob-0002";
  const [message] = await poison(world, 1);
  await world.server.stop();
  world.server.set({ ORBIT_ADMIN_TOKENS: tokens });
  await world.server.start();
  const { page } = await open(world, `/ops/poison/messages/${message!.id}`);
  await page.waitForURL("**/ops/sign-in?*");
  await page.getByLabel("Your token").fill("token-of-nobody-1");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("no operator has this token").waitFor();
  await page.getByLabel("Your token").fill("token-of-bob-0002");
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/messages/${message!.id}`);
  await page.getByText("values of payloads and errors are masked").waitFor();
  expect(await page.getByRole("button", { name: "Requeue" }).count()).toBe(0);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/ops/sign-in");
  await page.goto(`${await admin(world)}/ops`);
  expect(page.url()).toContain("/ops/sign-in");
});

test.for(["light", "dark"] as const)("every page is accessible and fits a phone, %s", async (colorScheme, { world }) => {
  const [message] = await poison(world, 1);
  const cause = world.answered.at(-1)!;
  const phone = { width: 375, height: 700 };
  const { page } = await open(world, "/ops", { colorScheme, viewport: phone, bypassCSP: true });
  const base = await admin(world);
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  for (const path of [
    "/ops",
    "/ops/poison",
    `/ops/poison/groups/${message!.fingerprint}`,
    "/ops/poison/messages",
    `/ops/poison/messages/${message!.id}`,
    "/ops/operations",
    "/ops/operations/new?kind=requeue",
    "/ops/presence",
    `/ops/trace?event=${cause}`,
    "/ops/audit",
  ]) {
    await page.goto(base + path);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width, `${path} scrolls sideways`).toBeLessThanOrEqual(phone.width);
    await page.evaluate(axe);
    const found = await page.evaluate(async () => {
      const run = (window as unknown as { axe: typeof import("axe-core") }).axe.run;
      const { violations } = await run();
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 150)).join("; ")}`);
    });
    expect(found, path).toEqual([]);
  }
});
