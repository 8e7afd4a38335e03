import { closeCodes } from "./generated/events.js";
import { fetchInit, HttpError } from "./http.js";
import { endOf } from "./transports/end.js";
import type { End } from "./transports/transport.js";

/** What to do when a connection is over. */
export type Verdict =
  /**
   * Come back after `delayMs`, or after `atLeastMs` and jitter, or after jitter
   * alone: a little, if `soon`, for the server has just said that all is well.
   */
  | { readonly then: "retry"; readonly delayMs?: number; readonly atLeastMs?: number; readonly soon?: boolean }
  /** The server is there, but this transport doesn't reach it: try the next one. */
  | { readonly then: "fallback" }
  /** Nobody is signed in, or not as a member: both look the same from outside. */
  | { readonly then: "signIn" }
  | { readonly then: "stop" };

const closeCodeTable: Record<number, { readonly name: string; readonly reconnect: boolean } | undefined> = closeCodes;

/** Codes from here on are the protocol's own; below, proxies say them as well. */
const PRIVATE_CODES = 4000;

/** What the end itself says; `null` when it says nothing, as 1006 does. */
export function explain(end: End, live: boolean): Verdict | null {
  const known = end.code === undefined ? undefined : closeCodeTable[end.code];
  if (known?.name === "unauthenticated") return { then: "signIn" };
  let { reconnect } = end;
  // Before system.live nobody knows who closed with an ordinary code: some
  // proxies that let no WebSocket through say 1001 or 1011.
  if (known && (live || end.code! >= PRIVATE_CODES)) reconnect ??= known.reconnect;
  if (reconnect === false) return { then: "stop" };
  if (reconnect) return { then: "retry", ...(end.delayMs && { delayMs: end.delayMs }) };
  if (end.status === 401) return { then: "signIn" };
  if (end.status && isBusy(end.status)) return busy(end);
  return null;
}

/** Asks by plain HTTP what a refused or hung transport doesn't tell. */
export async function probe(url: URL, fetch: typeof globalThis.fetch, signal: AbortSignal): Promise<Verdict> {
  const response = await fetch(url, { ...fetchInit, signal });
  const { status } = response;
  if (status === 204) return { then: "fallback" };
  if (status === 401) return { then: "signIn" };
  if (isBusy(status)) return busy(endOf(HttpError.of(response)));
  // Other answers than errors are of somebody in between: a hotel's sign-in page.
  return status >= 400 ? { then: "stop" } : { then: "retry" };
}

const isBusy = (status: number) => status === 429 || status === 408 || status >= 500;

const busy = (end: End): Verdict => ({ then: "retry", ...(end.delayMs && { atLeastMs: end.delayMs }) });
