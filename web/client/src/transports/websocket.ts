import { parseEvent } from "./event.js";
import type { Link, OpenRequest, Sink, Transport, WebSocketLike } from "./transport.js";

/** The subprotocol in which one text message is one or more events, a line each. */
const SUBPROTOCOL = "orbit.v1";

const LEAVING = 1000;
/** A private code: not a clean leave, so presence waits a moment for us to come back. */
const COMING_BACK = 4000;

export const websocket: Transport = {
  name: "websocket",
  supported: (tools) => tools.WebSocket !== undefined,
  open(request: OpenRequest, sink: Sink): Link {
    const url = request.url("ws");
    url.protocol = url.protocol.replace("http", "ws");
    let socket: WebSocketLike;
    try {
      socket = new request.WebSocket!(url, SUBPROTOCOL);
    } catch (error) {
      // A page's security policy may forbid it.
      let closed = false;
      queueMicrotask(() => closed || sink.end({ reason: String(error) }));
      return { close: () => void (closed = true) };
    }
    socket.onmessage = ({ data }: { data: unknown }) => {
      sink.alive();
      try {
        const lines = String(data).split("\n").filter(Boolean);
        sink.receive(lines.map(parseEvent));
      } catch (error) {
        // What isn't an event, as on the other transports: from here on it must come anew.
        close(COMING_BACK);
        sink.end({ reason: String(error) });
      }
    };
    socket.onclose = ({ code }: { code: number }) => sink.end({ code, reason: `close code ${code}` });
    // Without a listener, `ws` throws what a close before the handshake's end causes.
    socket.onerror = () => {};

    const close = (code: number) => {
      // Not waiting for the closing handshake: on a dead link it never ends.
      socket.onmessage = socket.onclose = null;
      socket.close(code);
    };
    return {
      send: (message) => socket.send(JSON.stringify(message)),
      close: (leaving) => close(leaving ? LEAVING : COMING_BACK),
    };
  },
};
