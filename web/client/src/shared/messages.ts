import type { ServerEvent } from "../generated/events.js";
import type { End } from "../transports/transport.js";

/** Grows with each change to the messages below: tabs of different builds don't meet. */
export const MESSAGES_VERSION = 1;

/** What a member says to the leader. `from` is the member. */
export type ToLeader =
  /** Let me in: I have everything up to `position`, and want these rooms. */
  | {
      readonly kind: "join";
      readonly from: string;
      readonly position: string;
      readonly rooms: readonly string[];
    }
  /** Are you there? */
  | { readonly kind: "ping"; readonly from: string }
  | { readonly kind: "leave"; readonly from: string };

/** What the leader says: to one member, or to all that follow it. */
export type ToMembers =
  /** I am here; an answer comes when there is one. */
  | { readonly kind: "hold"; readonly to: string }
  /** A hello, what came after the position of the join, `system.live`. What comes next is `seq + 1`. */
  | {
      readonly kind: "welcome";
      readonly to: string;
      readonly position: string;
      readonly leader: string;
      readonly seq: number;
      readonly events: readonly ServerEvent[];
    }
  /** Not now. */
  | { readonly kind: "refuse"; readonly to: string }
  /** Whoever follows another leader, or none, joins me. */
  | { readonly kind: "lead"; readonly leader: string }
  | {
      readonly kind: "events";
      readonly leader: string;
      readonly seq: number;
      readonly events: readonly ServerEvent[];
    }
  /** The server has said that it is over: for all of us. */
  | { readonly kind: "end"; readonly leader: string; readonly end: End }
  /** I don't lead anymore; somebody else does. */
  | { readonly kind: "over"; readonly leader: string };

export type Message = ToLeader | ToMembers;

const isString = (value: unknown) => typeof value === "string";
const isNumber = (value: unknown) => typeof value === "number";
const isObject = (value: unknown) => typeof value === "object" && value !== null;

const fields: Record<string, (value: unknown) => boolean> = {
  from: isString,
  to: isString,
  leader: isString,
  position: isString,
  seq: isNumber,
  end: isObject,
  rooms: (value) => Array.isArray(value) && value.every(isString),
  events: (value) => Array.isArray(value) && value.every(isObject),
};

const kinds: Record<Message["kind"], readonly string[]> = {
  join: ["from", "position", "rooms"],
  ping: ["from"],
  leave: ["from"],
  hold: ["to"],
  welcome: ["to", "position", "leader", "seq", "events"],
  refuse: ["to"],
  lead: ["leader"],
  events: ["leader", "seq", "events"],
  end: ["leader", "end"],
  over: ["leader"],
};

/** Whether it is one of ours: any script of the origin may post to the channel. */
export function isMessage(data: unknown): data is Message {
  if (!isObject(data)) return false;
  const message = data as Record<string, unknown>;
  const kind = message.kind as Message["kind"];
  return Object.hasOwn(kinds, kind) && kinds[kind].every((name) => fields[name]!(message[name]));
}
