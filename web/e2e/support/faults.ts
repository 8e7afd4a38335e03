import { setTimeout as sleep } from "node:timers/promises";

/** What a request is for: faults are set by it. */
export const kinds = ["websocket", "sse", "poll", "probe", "http"] as const;
export type Kind = (typeof kinds)[number];

/** `http`: whatever is neither a transport nor the probe. */
export function kindOf(path: string): Kind {
  const name = path.split("?")[0]!.slice("/v1/".length);
  if (name === "ws") return "websocket";
  return kinds.find((kind) => kind === name) ?? "http";
}

/** What a network does to connections. All of it can change while they are open. */
export interface Fault {
  /** New ones: reset, or answered with this HTTP status. */
  readonly refuse?: "reset" | number;
  /** No byte passes, in either direction, and nothing ends. */
  readonly hang?: boolean;
  /** Every chunk from the server is late by so many milliseconds. */
  readonly delayMs?: number;
  /** Each new one waits up to so many milliseconds first: later ones overtake it. */
  readonly reorderMs?: number;
  /** An answer is kept back until it has ended, as some proxies and virus scanners do. */
  readonly buffer?: boolean;
  /** Reset after so many bytes from the server: in the midst of an event, most likely. */
  readonly cutAfterBytes?: number;
  /** The headers that ask for an upgrade are taken out, as by a proxy that doesn't know them. */
  readonly stripUpgrade?: boolean;
}

/** One connection through the proxy, as far as faults are concerned. */
export class Flow {
  readonly #cut = new AbortController();
  #passed = 0;
  #lost = false;
  #wake = () => {};

  constructor(
    readonly kind: Kind,
    private readonly faults: ReadonlyMap<Kind, Fault>,
    private readonly random: () => number,
  ) {}

  get fault(): Fault {
    return this.faults.get(this.kind) ?? {};
  }

  /** Aborts when the connection is cut. */
  get signal(): AbortSignal {
    return this.#cut.signal;
  }

  cut(): void {
    this.#cut.abort(new Error("cut"));
    this.#wake();
  }

  /** Hangs for good: one end is gone, and nothing tells the other. */
  lose(): void {
    this.#lost = true;
  }

  changed(): void {
    this.#wake();
  }

  /** Before a connection is made. Throws when it is cut meanwhile. */
  async opening(): Promise<void> {
    const { reorderMs } = this.fault;
    if (reorderMs) await sleep(this.random() * reorderMs, undefined, { signal: this.signal });
    await this.#unhung();
  }

  /** Before a chunk of so many bytes passes on. Throws when the connection is cut. */
  async passing(bytes: number, down: boolean): Promise<void> {
    if (down && this.fault.delayMs) await sleep(this.fault.delayMs, undefined, { signal: this.signal });
    await this.#unhung();
    if (!down) return;
    this.#passed += bytes;
    const { cutAfterBytes } = this.fault;
    if (cutAfterBytes !== undefined && this.#passed > cutAfterBytes) this.cut();
    this.signal.throwIfAborted();
  }

  async #unhung(): Promise<void> {
    while ((this.fault.hang || this.#lost) && !this.signal.aborted)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    this.signal.throwIfAborted();
  }
}
