import type { End } from "./transport.js";

/** What a failed request tells; an `HttpError`, or any error with a status, tells most. */
export function endOf(error: unknown): End {
  const { message, status, retryAfterMs } = (error ?? {}) as {
    message?: string;
    status?: number;
    retryAfterMs?: number;
  };
  return {
    reason: message ?? String(error),
    ...(typeof status === "number" && { status }),
    ...(retryAfterMs !== undefined && { delayMs: retryAfterMs }),
  };
}
