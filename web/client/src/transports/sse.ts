import { createParser } from "eventsource-parser";
import type { ServerEvent } from "../generated/events.js";
import { fetchInit, HttpError } from "../http.js";
import type { Link, OpenRequest, Sink, Transport } from "./transport.js";
import { endOf } from "./end.js";
import { parseEvent } from "./event.js";

/**
 * Server-sent events, read with fetch: an EventSource hides the status of a
 * refusal, and stops for good after a 503.
 */
export const sse: Transport = {
  name: "sse",
  shareable: true,
  open(request: OpenRequest, sink: Sink): Link {
    const aborted = new AbortController();
    read(request, sink, aborted.signal)
      .then(
        () => ({ reason: "the stream ended" }),
        (error: unknown) => endOf(error),
      )
      .then((end) => aborted.signal.aborted || sink.end(end));
    return { close: () => aborted.abort() };
  },
};

async function read(request: OpenRequest, sink: Sink, signal: AbortSignal): Promise<void> {
  const headers = { Accept: "text/event-stream" };
  const response = await request.fetch(request.url("sse"), { ...fetchInit, headers, signal });
  if (response.status !== 200) throw HttpError.of(response);
  if (!response.body || !response.headers.get("Content-Type")?.startsWith("text/event-stream"))
    throw new Error("not an event stream"); // somebody in between answers in our server's place

  let events: ServerEvent[] = [];
  const parser = createParser({ onEvent: ({ data }) => void events.push(parseEvent(data)) });
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      sink.alive();
      parser.feed(decoder.decode(value, { stream: true }));
      if (events.length > 0) sink.receive(events.splice(0));
    }
  } finally {
    // What made us stop reading must stop the server's writing as well.
    reader.cancel().catch(() => {});
  }
}
