import type { Clock } from "./clock.js";

/** The longest time that timers know, in milliseconds; they take more for none. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/** How many settled causes are kept: a command's answer may come after its event. */
const KEPT = 256;

/** `until` rejects with it: the change is committed, but what is shown of it is old. */
export class StaleError extends Error {
  override readonly name = "StaleError";
  constructor(
    override readonly cause: string,
    /** What could not be brought up to date. */
    readonly aggregate: string,
  ) {
    super(`the change ${cause} could not be shown: ${aggregate} is stale`);
  }
}

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

/** Who waits for which cause, and the causes that came lately. */
export class Causes {
  #settled = new Map<string, Error | null>(); // null: delivered
  #waiting = new Map<string, Set<Waiter>>();

  constructor(private readonly clock: Clock) {}

  wait(cause: string, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const settled = this.#settled.get(cause);
      if (settled) return reject(settled);
      if (settled === null) return resolve();

      const waiters = this.#waiting.get(cause) ?? new Set();
      this.#waiting.set(cause, waiters);
      const leave = () => {
        this.clock.clearTimeout(timer);
        waiters.delete(waiter);
        if (waiters.size === 0 && this.#waiting.get(cause) === waiters) this.#waiting.delete(cause);
      };
      const waiter: Waiter = {
        resolve: () => (leave(), resolve()),
        reject: (error) => (leave(), reject(error)),
      };
      const late = () => waiter.reject(new Error(`the change ${cause} did not arrive within ${timeoutMs} ms`));
      const timer = this.clock.setTimeout(late, Math.min(timeoutMs, MAX_TIMEOUT_MS));
      waiters.add(waiter);
    });
  }

  /** The cause was delivered or, with an error, won't be. */
  settle(cause: string, error: Error | null): void {
    this.#settled.delete(cause); // back in line as the newest
    this.#settled.set(cause, error);
    if (this.#settled.size > KEPT) this.#settled.delete(this.#settled.keys().next().value as string);
    for (const waiter of [...(this.#waiting.get(cause) ?? [])]) {
      if (error) waiter.reject(error);
      else waiter.resolve();
    }
  }

  /**
   * Everybody who waits by now, and all that is stale. A snapshot that is asked for
   * from here on has it: call the result when it is applied.
   */
  coveredByNow(): () => void {
    const waiting = [...this.#waiting.values()].flatMap((waiters) => [...waiters]);
    const stale = [...this.#settled].filter(([, error]) => error);
    return () => {
      for (const waiter of waiting) waiter.resolve();
      for (const [cause, error] of stale) if (this.#settled.get(cause) === error) this.#settled.set(cause, null);
    };
  }

  rejectAll(error: Error): void {
    for (const waiters of [...this.#waiting.values()]) for (const waiter of [...waiters]) waiter.reject(error);
  }
}
