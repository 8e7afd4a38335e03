import { useConnection, useMe, useRealtime, useRooms, useServerEvent, useStores } from "@orbit/realtime/react";
import { memo, useEffect, useState, type ReactNode } from "react";
import { createPortal } from "react-dom";
import type { Tab } from "../Tabs.js";
import { useTally } from "../demo/useTally.js";
import { Members } from "../panels/Members.js";
import { Plan } from "../panels/Plan.js";
import { Roles } from "../panels/Roles.js";
import { Rooms } from "../panels/Rooms.js";
import { Teams } from "../panels/Teams.js";
import { useToast } from "../ui/toasts.js";
import { useSide } from "./context.js";
import { EventLog } from "./EventLog.js";
import { about, Log } from "./log.js";
import { appear } from "./present.js";
import { Status } from "./Status.js";

const panels = { Members, Rooms, Roles, Teams, Plan } satisfies Record<Tab, unknown>;

/** The most rooms to listen to; the server's limit is 50. */
const MAX_ROOMS = 50;

interface PaneProps {
  readonly tab: Tab;
  /** Where the connection's status goes, beside who is signed in. */
  readonly status: HTMLElement | null;
  readonly faults: ReactNode;
  readonly onAgain: () => void;
}

/** What one person sees. */
export function Pane({ tab, status, faults, onAgain }: PaneProps) {
  const [log] = useState(() => new Log());
  const stopped = useConnection(({ status, reason }) => (status === "stopped" ? (reason ?? "stopped") : null));
  return (
    <>
      {status && createPortal(<Status log={log} />, status)}
      <Recorder log={log} />
      <AllRooms />
      {stopped ? <Stopped reason={stopped} onAgain={onAgain} /> : <Panel tab={tab} />}
      {faults}
      <EventLog log={log} />
    </>
  );
}

const Panel = memo(function Panel({ tab }: { readonly tab: Tab }) {
  const Shown = panels[tab];
  return (
    <div className="panel">
      <Shown />
    </div>
  );
});

/** The server sent this side away for good: mostly, because somebody removed this person. */
function Stopped({ reason, onAgain }: { readonly reason: string; readonly onAgain: () => void }) {
  const me = useMe();
  const wasRemoved = /4403|revoked/.test(reason);
  return (
    <div className="panel empty">
      {wasRemoved ? <p>{me?.name ?? "This person"} was removed, and saw nothing of what came after it.</p> : <p>It is over: {reason}.</p>}
      <button type="button" onClick={onAgain}>
        Try again
      </button>
    </div>
  );
}

/** Writes every event into the log and the tally. */
function Recorder({ log }: { readonly log: Log }) {
  const side = useSide();
  const tally = useTally();
  const toast = useToast();
  const client = useRealtime();
  const stores = useStores();
  const status = useConnection((connection) => connection.status);
  const isOut = status === "stopped";
  const isLive = status === "live";

  useServerEvent("*", (event, meta) => {
    if (event.type === "system.heartbeat") return;
    const name = (id: string) => stores.membersStore.state.get(id)?.name;
    log.add(event, meta, about(event, { name }));
    if (!event.cause || !event.channel) return;
    const arrival = event as Parameters<typeof tally.arrived>[1];
    for (const cause of [event.cause, ...(event.causes ?? [])]) tally.arrived(side, { ...arrival, cause });
  });
  useServerEvent("member.notification", ({ notification }) => toast(notification.title, notification.body));

  useEffect(() => appear(side, stores), [side, stores]);
  useEffect(() => client.onSnapshot(() => tally.covered(side)), [client, tally, side]);
  useEffect(() => {
    if (isOut) return;
    tally.enter(side);
    return () => tally.leave(side);
  }, [tally, side, isOut]);
  useEffect(() => tally.live(side, isLive), [tally, side, isLive]);
  return null;
}

/** Listens to every room, shown or not: the counter counts their messages too. */
function AllRooms() {
  const client = useRealtime();
  const ids = useRooms()
    .slice(0, MAX_ROOMS)
    .map(({ id }) => id);
  return ids.map((id) => <Listening key={id} id={id} client={client} />);
}

function Listening({ id, client }: { readonly id: string; readonly client: ReturnType<typeof useRealtime> }) {
  useEffect(() => {
    const room = client.room(id);
    return () => room.close();
  }, [client, id]);
  return null;
}

