import type { Person } from "../../client/test/support/server.js";

/** An entry of the log, as far as it is compared. */
export interface Entry {
  readonly id: string;
  readonly channel: string;
  readonly cause: string;
  /** Further ones that it answers for. */
  readonly causes?: readonly string[];
}

interface Answer {
  readonly position: string;
  readonly events: readonly Partial<Entry>[];
}

/**
 * The truth: the workspace's log after `position` up to the entry of `cause`,
 * read by somebody who is in the room, in plain HTTP and without our client.
 */
export async function readLog(person: Person, position: string, room: string, cause: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  let session = "";
  while (!entries.some((entry) => entry.cause === cause || entry.causes?.includes(cause))) {
    const query = new URLSearchParams({
      workspace: "acme",
      position,
      ...(room && { rooms: room }),
      ...(session && { session }),
    });
    const response = await person.fetch(`${person.url}/v1/poll?${query}`, { signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw new Error(`reading the log: HTTP ${response.status}`);
    const answer = (await response.json()) as Answer;
    ({ position } = answer);
    for (const event of answer.events) {
      if ("session" in event) session = String(event.session);
      if (event.id && event.channel) entries.push(event as Entry);
    }
  }
  return entries;
}
