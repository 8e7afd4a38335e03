import type { Clock } from "../../src/clock.js";
import type { TabChannel, TabLocks, Tabs } from "../../src/shared/tabs.js";
import type { Link, Transport } from "../../src/transports/transport.js";

type Request = Parameters<TabLocks["request"]>[2] & {};

interface Lock {
  readonly tab: FakeTab;
  readonly grant: () => void;
  readonly lose: () => void;
}

/** A browser as its tabs see it: locks as Web Locks has them, channels as BroadcastChannel. */
export class FakeBrowser {
  /** Whether a message from one tab to another is lost. No browser does it, but for tabs that it freezes. */
  loses: () => boolean = () => false;
  /** How long messages are on their way, in milliseconds. */
  delayMs: () => number = () => 0;
  readonly held = new Map<string, Lock>();
  readonly waiting = new Map<string, Lock[]>();
  readonly channels = new Set<FakeChannel>();
  /** All that was posted. */
  readonly posted: { readonly name: string; readonly data: any }[] = [];

  constructor(readonly clock: Clock) {}

  tab(): FakeTab {
    return new FakeTab(this);
  }

  /** The tab that leads: the one with the only lock. */
  get leader(): FakeTab | undefined {
    return [...this.held.values()][0]?.tab;
  }

  request(name: string, lock: Lock, steal: boolean): void {
    const queue = this.waiting.get(name) ?? [];
    this.waiting.set(name, queue);
    if (!steal) queue.push(lock);
    else {
      const holder = this.held.get(name);
      this.held.delete(name);
      holder?.lose();
      queue.unshift(lock);
    }
    this.next(name);
  }

  next(name: string): void {
    const lock = this.held.has(name) ? undefined : this.waiting.get(name)?.shift();
    if (!lock) return;
    this.held.set(name, lock);
    lock.grant();
  }

  release(name: string, lock: Lock): void {
    this.waiting.set(
      name,
      (this.waiting.get(name) ?? []).filter((other) => other !== lock),
    );
    if (this.held.get(name) !== lock) return;
    this.held.delete(name);
    this.next(name);
  }
}

class FakeChannel implements TabChannel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly #last = new Map<FakeChannel, number>(); // when the last message to it arrives

  constructor(
    readonly name: string,
    readonly tab: FakeTab,
  ) {
    if (!tab.crashed) tab.browser.channels.add(this);
  }

  postMessage(data: unknown): void {
    const { browser } = this.tab;
    if (this.tab.crashed) return;
    if (!browser.channels.has(this)) throw new DOMException("closed", "InvalidStateError");
    browser.posted.push({ name: this.name, data });
    for (const other of browser.channels) {
      if (other === this || other.name !== this.name || browser.loses()) continue;
      const copy = structuredClone(data);
      // Between two channels messages keep their order.
      const now = browser.clock.now();
      const at = Math.max(this.#last.get(other) ?? 0, now + browser.delayMs());
      this.#last.set(other, at);
      browser.clock.setTimeout(() => other.tab.run(() => other.onmessage?.({ data: copy })), at - now);
    }
  }

  close(): void {
    this.tab.browser.channels.delete(this);
  }
}

/** One tab, which may be frozen, or crash. */
export class FakeTab implements Tabs {
  crashed = false;
  #frozen: (() => void)[] | null = null; // what it has to do when it goes on
  #links = new Set<Link>();

  constructor(readonly browser: FakeBrowser) {}

  get frozen(): boolean {
    return this.#frozen !== null;
  }

  /** Does it now, or after the freeze, or never. */
  run(work: () => void): void {
    if (this.crashed) return;
    if (this.#frozen) this.#frozen.push(work);
    else work();
  }

  freeze(): void {
    this.#frozen ??= [];
  }

  thaw(): void {
    const work = this.#frozen ?? [];
    this.#frozen = null;
    for (const one of work) this.run(one);
  }

  /** It is gone without a word; the browser releases what it had. */
  crash(): void {
    this.crashed = true;
    for (const link of this.#links) link.close(false);
    for (const channel of [...this.browser.channels]) if (channel.tab === this) channel.close();
    for (const [name, queue] of this.browser.waiting)
      this.browser.waiting.set(
        name,
        queue.filter(({ tab }) => tab !== this),
      );
    for (const [name, lock] of [...this.browser.held]) if (lock.tab === this) this.browser.release(name, lock);
  }

  readonly locks: TabLocks = {
    request: (name, { signal, steal = false }, granted: Request) =>
      new Promise<void>((resolve, reject) => {
        const { browser } = this;
        if (this.crashed) return; // what is left of it in this process
        const lock: Lock = {
          tab: this,
          grant: () =>
            browser.clock.setTimeout(
              () =>
                this.run(() => {
                  if (browser.held.get(name) !== lock) return;
                  void Promise.resolve(granted()).then(() => {
                    browser.release(name, lock);
                    resolve();
                  });
                }),
              0,
            ),
          lose: () => this.run(() => reject(new DOMException("stolen", "AbortError"))),
        };
        signal?.addEventListener("abort", () => {
          if (browser.held.get(name) === lock) return; // granted already: its callback says when it is over
          browser.release(name, lock);
          reject(new DOMException("aborted", "AbortError"));
        });
        browser.request(name, lock, steal);
      }),
  };

  openChannel(name: string): TabChannel {
    return new FakeChannel(name, this);
  }

  /** Timers that will run. */
  readonly timers = new Set<unknown>();

  /** Timers of a frozen tab are late. */
  readonly clock: Clock = {
    now: () => this.browser.clock.now(),
    setTimeout: (fn, ms) => {
      const work = () =>
        this.run(() => {
          if (this.timers.delete(timer)) fn();
        });
      const timer = this.browser.clock.setTimeout(work, ms);
      this.timers.add(timer);
      return timer;
    },
    clearTimeout: (timer) => {
      this.timers.delete(timer);
      this.browser.clock.clearTimeout(timer);
    },
  };

  /** What the server sends to a frozen tab waits. */
  transport(inner: Transport): Transport {
    return {
      ...inner,
      open: (request, sink) => {
        if (this.crashed) return { close: () => {} };
        const link = inner.open(request, {
          alive: () => this.run(() => sink.alive()),
          receive: (events) => this.run(() => sink.receive(events)),
          end: (end) => this.run(() => sink.end(end)),
        });
        this.#links.add(link);
        return link;
      },
    };
  }

  fetch(inner: typeof globalThis.fetch): typeof globalThis.fetch {
    return (...args) =>
      new Promise((resolve, reject) => {
        void inner(...args).then(
          (response) => this.run(() => resolve(response)),
          (error: unknown) => this.run(() => reject(error as Error)),
        );
      });
  }
}
