import type { Snapshot } from "./generated/events.js";
import { fetchInit, HttpError } from "./http.js";

export type { Snapshot };

/** Fetches `GET /v1/workspaces/{slug}/snapshot`. Throws an `HttpError` on any answer but 200. */
export async function fetchSnapshot(url: URL, fetch: typeof globalThis.fetch, signal: AbortSignal): Promise<Snapshot> {
  const response = await fetch(url, { ...fetchInit, signal });
  if (response.status !== 200) throw HttpError.of(response);
  return (await response.json()) as Snapshot;
}
