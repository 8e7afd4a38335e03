import type { Clock } from "../../src/clock.js";

/** Time that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #now = Date.parse("2026-11-23T09:30:00Z");
  #timers: { at: number; fn: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  setTimeout(fn: () => void, ms: number): unknown {
    const timer = { at: this.#now + Math.max(0, ms), fn };
    this.#timers.push(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers = this.#timers.filter((t) => t !== timer);
  }

  get pending(): number {
    return this.#timers.length;
  }

  /** Goes on, running timers in order and everything they set off. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settled();
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers = this.#timers.filter((t) => t !== due);
      this.#now = Math.max(this.#now, due.at);
      due.fn();
      await settled();
    }
    this.#now = Math.max(this.#now, end);
  }

  /** The machine sleeps: time passes, and no timer runs. */
  sleep(ms: number): void {
    this.#now += ms;
  }
}

/** All promises that can go on have. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A seeded random number generator (mulberry32), evenly distributed in [0, 1). */
export function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
