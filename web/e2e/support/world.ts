// What every scenario has: the real server, the proxy in front of it, browsers, and somebody who writes.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContext } from "playwright-core";
import { test as base, inject } from "vitest";
import { Server, type Person } from "../../client/test/support/server.js";
import type { TabOptions } from "../page/tab.js";
import { readLog, type Entry } from "./log.js";
import { check } from "./complete.js";
import { FaultProxy } from "./fault-proxy.js";
import { Tab } from "./tab.js";

export type Name = "owner" | "admin" | "guest";

const CHROMIUM_FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch(ignoreDefaultArgs: string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: inject("chromium")!, args: CHROMIUM_FLAGS, ignoreDefaultArgs });
}

export class World {
  readonly tabs: Tab[] = [];
  /** What pages said on their consoles, and errors that nobody caught. */
  readonly #console: string[] = [];
  /** Causes that the server has answered with: each is committed, and in the log sooner or later. */
  readonly answered: string[] = [];
  #sequence = 0;

  private constructor(
    readonly server: Server,
    readonly proxy: FaultProxy,
    readonly browser: Browser,
    /** Writes, straight to the server. */
    readonly owner: Person,
    /** A public room of acme. */
    readonly room: string,
    /** Where the log was when all began: nothing before it is of the test. */
    readonly start: string,
  ) {}

  static async make(browser: Browser, random?: () => number): Promise<World> {
    const server = await Server.start(inject("orbit"), {
      ORBIT_LOG_MAX_ENTRIES: "1000000",
      ORBIT_DRAIN: "200ms",
      ORBIT_PRESENCE_GRACE: "500ms",
    });
    const owner = await server.signIn("owner");
    const { position, rooms } = await owner.snapshot();
    // The demo's own events are on their way: the log is quiet behind a later one.
    const { cause } = await owner.command("PATCH", "/workspaces/acme", { name: "Quiet" });
    const quiet = await readLog(owner, position, "", cause);
    const proxy = await FaultProxy.start(server.port, inject("page"), random);
    return new World(server, proxy, browser, owner, rooms.find((room) => !room.private)!.id, quiet.at(-1)!.id);
  }

  /** A browser profile in which somebody is signed in. */
  async profile(name: Name, url = this.proxy.url): Promise<BrowserContext> {
    const context = await this.browser.newContext();
    context.on("console", (message) => this.#console.push(`${message.type()}: ${message.text()}`));
    context.on("weberror", (error) => this.#console.push(`uncaught: ${error.error().stack}`));
    const { cookie } = await this.server.signIn(name);
    const [cookieName, value] = cookie.split("=") as [string, string];
    await context.addCookies([{ name: cookieName, value, url, httpOnly: true, sameSite: "Lax" }]);
    return context;
  }

  /** A tab in the profile, in the room, from the beginning of the test on. */
  async tab(profile: BrowserContext, options: TabOptions = {}, url = this.proxy.url): Promise<Tab> {
    const tab = await Tab.open(profile, url, {
      position: this.start,
      rooms: [this.room],
      openTimeoutMs: 2000,
      ...options,
    });
    this.tabs.push(tab);
    return tab;
  }

  /** Says so many things in the room, one after the other. Returns the last one's cause. */
  async say(count = 1): Promise<string> {
    let last = "";
    for (let i = 0; i < count; i++) {
      const path = `/workspaces/acme/rooms/${this.room}/messages`;
      ({ cause: last } = await this.owner.command("POST", path, { body: `n-${++this.#sequence}` }));
      this.answered.push(last);
    }
    return last;
  }

  /** A command by the owner, which counts as said. */
  async command(method: string, path: string, body?: object): Promise<string> {
    const { cause } = await this.owner.command(method, path, body);
    this.answered.push(cause);
    return cause;
  }

  /** Everything that was answered since the beginning and more, from the server itself. */
  async log(): Promise<Entry[]> {
    return readLog(this.owner, this.start, this.room, await this.say());
  }

  /** Every tab has the whole log since its beginning: each entry once, in order. */
  async expectComplete(tabs = this.tabs, timeout?: number): Promise<void> {
    const log = await this.log();
    await Promise.all(tabs.map((tab) => tab.has(log.at(-1)!.cause, timeout)));
    for (const tab of tabs) check(await tab.seen(), log, this.answered);
  }

  /** Leaves all there is to find out what went wrong. Returns the folder. */
  async report(name: string): Promise<string> {
    const dir = mkdtempSync(join(tmpdir(), "orbit-e2e-failed-"));
    writeFileSync(join(dir, "test.txt"), `${name}\n`);
    writeFileSync(join(dir, "proxy.log"), this.proxy.log.join("\n"));
    writeFileSync(join(dir, "console.log"), this.#console.join("\n"));
    for (const [i, page] of this.browser
      .contexts()
      .flatMap((context) => context.pages())
      .entries()) {
      await page.screenshot({ path: join(dir, `page-${i}.png`), timeout: 3000 }).catch(() => {});
      const patience = new Promise<never>((_, reject) => setTimeout(reject, 3000));
      const record = page.evaluate(() => JSON.stringify({ ...window.tab, rt: undefined }, null, 1));
      writeFileSync(join(dir, `page-${i}.json`), await Promise.race([record, patience]).catch(() => "no answer"));
    }
    return dir;
  }

  async close(): Promise<void> {
    await Promise.all(this.browser.contexts().map((context) => context.close()));
    await this.proxy.close();
    await this.server.remove();
  }
}

/** `test` with a `world`. It is skipped where there is no Chromium. */
export const test = base
  .extend<{ browser: Browser; world: World }>({
    browser: [
      async ({}, use) => {
        const browser = await launch();
        await use(browser);
        await browser.close();
      },
      { scope: "worker" },
    ],
    world: async ({ browser, task }, use) => {
      const world = await World.make(browser);
      await use(world);
      if (task.result?.state === "fail") console.error(`what is left of it: ${await world.report(task.name)}`);
      await world.close();
    },
  })
  .skipIf(!inject("chromium"));
