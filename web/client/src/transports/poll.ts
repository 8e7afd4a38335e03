import type { ServerEvent } from "../generated/events.js";
import { fetchInit, HttpError } from "../http.js";
import { endOf } from "./end.js";
import { asEvent, isPosition } from "./event.js";
import type { Link, OpenRequest, Sink, Transport } from "./transport.js";

/** An answer as it came; anybody in between may have made it up. */
interface Answer {
  readonly position?: unknown;
  readonly events?: unknown;
}

/** Long poll, for networks that let no stream through: one request after the other. */
export const poll: Transport = {
  name: "poll",
  shareable: true,
  open(request: OpenRequest, sink: Sink): Link {
    const aborted = new AbortController();
    run(request, sink, aborted.signal).catch((error: unknown) => aborted.signal.aborted || sink.end(endOf(error)));
    return { close: () => aborted.abort() };
  },
};

async function run(request: OpenRequest, sink: Sink, signal: AbortSignal): Promise<never> {
  // The server keeps the session between polls, and tells by the position
  // whether its last answer arrived.
  let session: Record<string, string> = {};
  for (;;) {
    const response = await request.fetch(request.url("poll", session), { ...fetchInit, signal });
    if (response.status !== 200) throw HttpError.of(response);
    const answer = (await response.json()) as Answer | null;
    signal.throwIfAborted();
    const position = answer?.position;
    if (!Array.isArray(answer?.events) || !isPosition(position)) throw new Error("not a poll's answer");
    const events: ServerEvent[] = answer.events.map(asEvent);
    // Answers without events are for polls that were overtaken by another one.
    // Ours is the only one, so asking again at once could go on forever.
    if (!events.length) throw new Error("a poll was answered with nothing");
    sink.alive();
    for (const event of events) if (event.type === "system.hello") session = { session: event.session };
    session = { ...session, position };
    sink.receive(events);
    signal.throwIfAborted();
  }
}
