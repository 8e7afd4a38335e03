import type { Clock } from "../clock.js";
import { CATALOG_HASH } from "../generated/events.js";
import type { OpenRequest, Transport } from "../transports/transport.js";
import { Member } from "./member.js";
import { MESSAGES_VERSION } from "./messages.js";
import { Station } from "./station.js";
import { Stream, type StreamOwner } from "./stream.js";
import type { Tabs } from "./tabs.js";

/**
 * The transport, with one link for all tabs of the same origin, server,
 * workspace and person: the others get what it receives.
 */
export function shared(inner: Transport, tabs: Tabs, clock: Clock, openTimeoutMs: number): Transport {
  const stations = new Map<string, Station>();
  return {
    ...inner,
    open(request, sink) {
      const { origin, pathname, searchParams } = request.url("");
      const open = (owner: StreamOwner, query: Record<string, string> = {}) => {
        const url: OpenRequest["url"] = (path, extra) => request.url(path, { ...query, ...extra });
        return new Stream(inner, { ...request, url }, clock, openTimeoutMs, owner);
      };
      const openAt = (owner: StreamOwner, position: string, rooms: Iterable<string>) =>
        open(owner, { position, rooms: [...rooms].join(",") });
      const stationOf = (memberId: string) => {
        const key = [MESSAGES_VERSION, CATALOG_HASH, inner.name, origin + pathname, searchParams.get("workspace"), memberId];
        const name = `orbit:${key.join(":")}`;
        let station = stations.get(name);
        if (!station) {
          station = new Station(name, memberId, tabs, openAt, () => stations.delete(name));
          stations.set(name, station);
        }
        return station;
      };
      return new Member(open, stationOf, clock, sink);
    },
  };
}
