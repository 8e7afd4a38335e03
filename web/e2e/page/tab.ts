// The page under test: a client of @orbit/realtime that remembers all it was given.
import { createRealtime, poll, sse, websocket, type Realtime, type RealtimeOptions } from "@orbit/realtime";

/** What a test may choose; all of it survives JSON, for it travels in the URL. */
export interface TabOptions extends Pick<RealtimeOptions, "position" | "rooms" | "openTimeoutMs" | "share"> {
  readonly transports?: readonly ("websocket" | "sse" | "poll")[];
}

export interface Seen {
  readonly type: string;
  readonly id: string | undefined;
  readonly channel: string | undefined;
  /** All that it answers for. */
  readonly causes: readonly string[];
  readonly replayed: boolean;
  readonly transport: string | null;
}

export interface StatusSeen {
  readonly status: string;
  readonly transport: string | null;
  readonly reason: string | undefined;
}

/** What the test reads from outside. */
export interface TabRecord {
  readonly rt: Realtime;
  readonly seen: Seen[];
  readonly statuses: StatusSeen[];
  readonly snapshots: string[];
  asked: number;
}

declare global {
  interface Window {
    tab: TabRecord;
  }
}

const options = JSON.parse(new URL(location.href).searchParams.get("options") ?? "{}") as TabOptions;
const byName = { websocket, sse, poll };

const { transports, ...rest } = options;
const rt = createRealtime({
  workspace: "acme",
  ...rest,
  ...(transports && { transports: transports.map((name) => byName[name]) }),
  onAuthRequired: () => void window.tab.asked++,
});
const tab: TabRecord = (window.tab = { rt, seen: [], statuses: [], snapshots: [], asked: 0 });

rt.on("*", ({ type, id, channel, cause, causes = [] }, { replayed }) => {
  tab.seen.push({ type, id, channel, causes: cause ? [cause, ...causes] : [], replayed, transport: rt.transport });
});
rt.onStatus((status, { transport, reason }) => {
  tab.statuses.push({ status, transport, reason });
  document.querySelector("#status")!.textContent = `${status} ${transport}`;
});
rt.onSnapshot(({ position }) => tab.snapshots.push(position));
rt.start();
