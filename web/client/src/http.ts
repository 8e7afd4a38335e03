import type { Clock } from "./clock.js";

/** An HTTP answer that isn't the one hoped for. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  constructor(
    readonly status: number,
    /** The `Retry-After` header in milliseconds, if it was there in seconds. */
    readonly retryAfterMs?: number,
  ) {
    super(`HTTP ${status}`);
  }

  /** The same request may succeed later. */
  get transient(): boolean {
    return this.status >= 500 || [401, 408, 425, 429].includes(this.status);
  }

  static of(response: Response): HttpError {
    const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
    return new HttpError(response.status, seconds >= 0 ? seconds * 1000 : undefined);
  }
}

/** How every request is sent: with the session cookie, past every cache. */
export const fetchInit = { cache: "no-store", credentials: "include" } as const satisfies RequestInit;

/**
 * Runs `work` with a signal that aborts after `ms`, or when `parent` does. It
 * fails then, whether `work` heeds the signal or not.
 */
export async function within<T>(
  clock: Clock,
  ms: number,
  parent: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort(parent.reason);
  const timer = clock.setTimeout(() => controller.abort(new Error(`no answer within ${ms} ms`)), ms);
  parent.addEventListener("abort", abort);
  try {
    parent.throwIfAborted();
    const { signal } = controller;
    const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    return await Promise.race([work(signal), aborted]);
  } finally {
    clock.clearTimeout(timer);
    parent.removeEventListener("abort", abort);
  }
}
