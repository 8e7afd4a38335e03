import type { BrowserContext, CDPSession, Page, Request } from "playwright-core";
import { expect, vi } from "vitest";
import type { Seen, StatusSeen, TabOptions } from "../page/tab.js";

/** Waits until `condition` holds, or fails with what it threw last. */
export const eventually = <T>(condition: () => T | Promise<T>, timeout = 20_000) =>
  vi.waitFor(condition, { timeout, interval: 20 });

/**
 * Loads a page with all its files. Chromium drops every request whenever a
 * network interface of the machine comes or goes, which is nobody's bug.
 */
export async function load(page: Page, url: string): Promise<void> {
  let dropped = false;
  const failed = (request: Request) => (dropped ||= request.failure()?.errorText === "net::ERR_NETWORK_CHANGED");
  page.on("requestfailed", failed);
  do {
    dropped = false;
    await page.goto(url).catch((error: unknown) => {
      if (!dropped) throw error;
    });
  } while (dropped);
  page.off("requestfailed", failed);
}

/** A page in a browser that runs the client. */
export class Tab {
  #debugger: CDPSession | null = null;

  private constructor(
    readonly page: Page,
    readonly context: BrowserContext,
    /** Where it began, if the test said so. */
    readonly from: string | undefined,
  ) {}

  static async open(context: BrowserContext, url: string, options: TabOptions = {}): Promise<Tab> {
    const tab = new Tab(await context.newPage(), context, options.position);
    await load(tab.page, `${url}/tab.html?options=${encodeURIComponent(JSON.stringify(options))}`);
    return tab;
  }

  status(): Promise<{ status: string; transport: string | null }> {
    return this.page.evaluate(() => ({ status: window.tab.rt.status, transport: window.tab.rt.transport }));
  }

  async reaches(status: string, transport?: string): Promise<void> {
    const wanted = transport ? { status, transport } : { status };
    await eventually(async () => expect(await this.status()).toMatchObject(wanted));
  }

  seen(): Promise<Seen[]> {
    return this.page.evaluate(() => window.tab.seen);
  }

  statuses(): Promise<StatusSeen[]> {
    return this.page.evaluate(() => window.tab.statuses);
  }

  /** Positions of the snapshots that it was given. */
  snapshots(): Promise<string[]> {
    return this.page.evaluate(() => window.tab.snapshots);
  }

  /** How often it was told that nobody is signed in. */
  asked(): Promise<number> {
    return this.page.evaluate(() => window.tab.asked);
  }

  /** Waits until the change was delivered here. */
  async has(cause: string, timeout?: number): Promise<void> {
    const delivered = () => this.page.evaluate((cause) => window.tab.seen.some((seen) => seen.causes.includes(cause)), cause);
    await eventually(async () => expect(await delivered(), `${cause} was delivered`).toBe(true), timeout);
  }

  /**
   * Stops all that runs in the page, timers too; the browser keeps its
   * connections. By the debugger, because Page.setWebLifecycleState doesn't
   * freeze what can be seen, and to Playwright every page can be seen.
   */
  async freeze(): Promise<void> {
    this.#debugger = await this.context.newCDPSession(this.page);
    await this.#debugger.send("Debugger.enable");
    await this.#debugger.send("Debugger.pause");
  }

  /** Nothing happens if it isn't frozen. */
  async thaw(): Promise<void> {
    const session = this.#debugger;
    this.#debugger = null;
    await session?.detach(); // and what was paused goes on
  }

  /** A request by the page itself, as its buttons would make it. */
  post(path: string, body: object): Promise<{ status: number; cause: string | null }> {
    return this.page.evaluate(
      async ({ path, body }) => {
        const headers = { "Content-Type": "application/json" };
        const response = await fetch(`/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) });
        return { status: response.status, cause: response.headers.get("Orbit-Event-Id") };
      },
      { path, body },
    );
  }
}
