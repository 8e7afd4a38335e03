import { setTimeout as sleep } from "node:timers/promises";
import type { BrowserContext } from "playwright-core";
import type { Seen, TabOptions } from "../page/tab.js";
import type { Fault, Kind } from "./faults.js";
import type { Tab } from "./tab.js";
import type { World } from "./world.js";

const MAX_TABS = 8;

const wanted: TabOptions[] = [
  {},
  { transports: ["websocket"] },
  { transports: ["sse"] },
  { transports: ["poll"] },
  { transports: ["sse", "poll"] },
];

const faults: Partial<Record<Kind, readonly Fault[]>> = {
  websocket: [{ refuse: 403 }, { refuse: "reset" }, { hang: true }, { stripUpgrade: true }, { cutAfterBytes: 3000 }],
  sse: [{ buffer: true }, { hang: true }, { delayMs: 100 }, { cutAfterBytes: 3000 }, { refuse: 502 }],
  poll: [{ hang: true }, { delayMs: 100 }, { cutAfterBytes: 3000 }, { refuse: "reset" }, { reorderMs: 300 }],
  probe: [{ refuse: 503 }, { refuse: "reset" }, { hang: true }],
};

/** Does at random what can happen to tabs, networks and servers. The seed decides what, not how long it takes. */
export class Chaos {
  /** What tabs had been given that are closed by now. */
  readonly closed: Seen[][] = [];
  #frozen = new Set<Tab>();
  #opened = 0;

  constructor(
    private readonly world: World,
    private readonly random: () => number,
    private readonly profiles: readonly BrowserContext[],
  ) {}

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)]!;
  }

  async step(): Promise<void> {
    const { proxy, server } = this.world;
    const actions: [weight: number, does: string, () => unknown][] = [
      [8, "a fault", () => this.#fault()],
      [6, "healed", () => proxy.heal()],
      [4, "cut", () => proxy.cut(this.#pick(["all", "websocket", "sse", "poll"]))],
      [2, "lost", () => proxy.lose()],
      [1, "unplugged", () => proxy.unplug()],
      [
        1,
        "killed",
        () =>
          server
            .kill()
            .then(() => this.#pause(500))
            .then(() => server.start()),
      ],
      [1, "restarted", () => server.stop().then(() => server.start())],
      [2, "a profile offline or online", () => this.#pick(this.profiles).setOffline(this.random() < 0.4)],
      [2, "frozen", () => this.#freeze(this.#pick(this.world.tabs))],
      [2, "thawed", () => this.#thaw()],
      [2, "opened", () => this.openTab()],
      [1, "closed", () => this.#closeTab()],
    ];
    let dice = this.random() * actions.reduce((sum, [weight]) => sum + weight, 0);
    const [, does, act] = actions.find(([weight]) => (dice -= weight) < 0)!;
    proxy.note(`chaos: ${does}`);
    await act();
    await this.#pause(800);
  }

  /** Everything is well again; only the tabs don't know it yet. */
  async end(): Promise<void> {
    this.world.proxy.heal();
    while (this.#frozen.size > 0) await this.#thaw();
    for (const profile of this.profiles) {
      await profile.setOffline(true);
      await profile.setOffline(false); // the network's return: nobody waits out a long delay
    }
  }

  async openTab(): Promise<void> {
    if (this.world.tabs.length === MAX_TABS) return;
    const n = this.#opened++;
    const profile = this.profiles[n % this.profiles.length]!;
    await profile.setOffline(false);
    await this.world.tab(profile, wanted[n % wanted.length]);
  }

  async #closeTab(): Promise<void> {
    const tab = this.#pick(this.world.tabs);
    if (this.world.tabs.length < 3 || this.#frozen.has(tab)) return;
    this.world.tabs.splice(this.world.tabs.indexOf(tab), 1);
    this.closed.push(await tab.seen());
    await tab.page.close();
  }

  #fault(): void {
    const kind = this.#pick(Object.keys(faults) as Kind[]);
    this.world.proxy.set(kind, this.#pick(faults[kind]!));
  }

  async #freeze(tab: Tab): Promise<void> {
    if (this.#frozen.has(tab)) return;
    this.#frozen.add(tab);
    await tab.freeze();
  }

  async #thaw(): Promise<void> {
    const [tab] = this.#frozen;
    if (!tab) return;
    this.#frozen.delete(tab);
    await tab.thaw();
  }

  #pause(upToMs: number): Promise<void> {
    return sleep(this.random() * upToMs);
  }
}
