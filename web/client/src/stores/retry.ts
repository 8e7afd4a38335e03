import type { Realtime } from "../realtime.js";

/** Bounds of the delay between attempts, in milliseconds. */
const MIN_MS = 1000;
const MAX_MS = 20_000;

/** Does something until it succeeds: again after a delay while the client is live, and at once when it gets live. */
export class Retry {
  #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #running = false;
  #unlisten: () => void;

  constructor(
    private readonly rt: Realtime,
    private readonly work: (signal: AbortSignal) => Promise<void>,
  ) {
    this.#unlisten = rt.onStatus((status) => {
      if (status === "live") void this.#run();
    });
    void this.#run();
  }

  stop(): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
    this.#unlisten();
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    clearTimeout(this.#timer);
    const { signal } = this.#abort;
    try {
      await this.work(signal);
      this.stop();
    } catch {
      if (signal.aborted) return;
      const delay = Math.min(MAX_MS, MIN_MS * 2 ** this.#attempt++) * (0.5 + Math.random() / 2);
      this.#timer = setTimeout(() => this.rt.status === "live" && void this.#run(), delay);
    } finally {
      this.#running = false;
    }
  }
}
