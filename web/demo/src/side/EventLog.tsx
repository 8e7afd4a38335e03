import { useConnection } from "@orbit/realtime/react";
import { memo, useSyncExternalStore } from "react";
import { useSide } from "./context.js";
import type { Entry, Log } from "./log.js";

/** The latest events, newest first, in a window of a fixed height. */
export function EventLog({ log }: { readonly log: Log }) {
  const side = useSide();
  const { entries } = useSyncExternalStore(log.subscribe, () => log.state);
  return (
    <div className="log">
      <h3>
        <span>
          Events<span className="narrow">, {side}</span>
        </span>
        <Position />
      </h3>
      <ol tabIndex={0} aria-label={`Events on the ${side}, newest first`}>
        {entries.map((entry) => (
          <Line key={entry.key} entry={entry} />
        ))}
      </ol>
    </div>
  );
}

function Position() {
  const position = useConnection((connection) => connection.position);
  return (
    <code title="Everything up to this position in the workspace's log is on this side">{position ?? "no position yet"}</code>
  );
}

const Line = memo(function Line({ entry }: { readonly entry: Entry }) {
  const { offset, type, about, replayed, latency } = entry;
  return (
    <li>
      <span className="offset">{offset}</span>
      <code>{type}</code>
      <span className="about" title={about}>
        {about}
      </span>
      {replayed ? (
        <span className="badge warn" title="It happened while this side wasn't connected, and was made up for">
          replayed
        </span>
      ) : (
        latency !== null && <span className="latency">{latency} ms</span>
      )}
    </li>
  );
});
