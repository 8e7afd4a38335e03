import type { Member, Role, Room, Subscription, Team, Workspace } from "./generated/events.js";
import { fetchInit, HttpError } from "./http.js";

/** A workspace's state as of one moment, filtered by what the reader may see. */
export interface Snapshot {
  /** Where in the log it is true: events after it belong on top. */
  readonly position: string;
  readonly workspace: Workspace;
  readonly me: { readonly memberId: string };
  readonly members: readonly Member[];
  readonly roles: readonly Role[];
  readonly teams: readonly Team[];
  readonly subscription: Subscription;
  readonly rooms: readonly Room[];
  /** Ids of the members who are online. */
  readonly presence: readonly string[];
}

/** Fetches `GET /v1/workspaces/{slug}/snapshot`. Throws an `HttpError` on any answer but 200. */
export async function fetchSnapshot(url: URL, fetch: typeof globalThis.fetch, signal: AbortSignal): Promise<Snapshot> {
  const response = await fetch(url, { ...fetchInit, signal });
  if (response.status !== 200) throw HttpError.of(response);
  return (await response.json()) as Snapshot;
}
