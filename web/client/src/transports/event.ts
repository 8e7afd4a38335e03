import type { ServerEvent } from "../generated/events.js";

/** `<epoch>-<offset>`, as the server writes it. Beyond 15 digits numbers would be rounded. */
export const isPosition = (value: unknown): value is string =>
  typeof value === "string" && /^\w{1,32}-(0|[1-9]\d{0,14})$/.test(value);

/**
 * Takes what came over the network for a server event, if it is one as far as
 * this client depends on it. What a proxy made up must end the link, rather than
 * leave us at a position that is none, or with a timer that never rings.
 */
export function asEvent(value: unknown): ServerEvent {
  const { type, id, channel = "", cause = "", heartbeatMs = 1, delayMs = 0 } = (value ?? {}) as Record<string, unknown>;
  if (
    ![type, channel, cause].every((text) => typeof text === "string") ||
    !((heartbeatMs as number) > 0 && (delayMs as number) >= 0) ||
    (id === undefined ? type === "system.resync" : !isPosition(id))
  )
    throw new Error("not a server event");
  return value as ServerEvent;
}

/** The server event in a text. */
export const parseEvent = (text: string): ServerEvent => asEvent(JSON.parse(text));
