import type { Clock } from "../clock.js";
import type { Link, Transport } from "../transports/transport.js";
import type { Tabs } from "./tabs.js";

/**
 * `shared`, fetched when a link is opened: most pages have a WebSocket, and do
 * without. If it can't be had, because a newer build has replaced the files, the
 * link is this tab's alone.
 */
export function lazilyShared(inner: Transport, tabs: Tabs, clock: Clock, openTimeoutMs: number): Transport {
  let loading: Promise<Transport> | undefined;
  return {
    ...inner,
    open(request, sink) {
      let link: Link | undefined;
      let closed = false;
      loading ??= import("./shared.js").then(
        ({ shared }) => shared(inner, tabs, clock, openTimeoutMs),
        () => inner,
      );
      void loading.then((transport) => {
        if (!closed) link = transport.open(request, sink);
      });
      return {
        check: () => link?.check?.(),
        close(leaving) {
          closed = true;
          link?.close(leaving);
        },
      };
    },
  };
}
