import { useConnection } from "@orbit/realtime/react";
import { useSyncExternalStore } from "react";
import type { Log } from "./log.js";

const transports: Record<string, string> = { websocket: "WebSocket", sse: "SSE", poll: "Long poll" };

const words = {
  idle: "Starting",
  connecting: "Connecting",
  syncing: "Catching up",
  live: "Live",
  waiting: "Reconnecting",
  offline: "Offline",
  stopped: "Stopped",
} as const;

/** How this side is connected, and how fast events come. */
export function Status({ log }: { readonly log: Log }) {
  const { status, transport, delayMs } = useConnection();
  const { latency } = useSyncExternalStore(log.subscribe, () => log.state);
  const wait = status === "waiting" && delayMs ? ` in ${(delayMs / 1000).toFixed(1)} s` : "";
  return (
    <>
      <span className="badge status" data-status={status} role="status">
        {words[status]}
        {wait}
      </span>
      {transport && (
        <span className="badge" title="The transport in use, or being tried">
          {transports[transport] ?? transport}
        </span>
      )}
      {latency !== null && (
        <span className="latest" title="From the commit to this tab, for the latest event">
          {latency} ms
        </span>
      )}
    </>
  );
}
