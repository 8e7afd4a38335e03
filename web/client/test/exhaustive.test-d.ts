// Compiled, never run: an event that is not handled is a compile error, in
// either style. Each @ts-expect-error is a test; if the line below it compiled
// after all, tsc would complain about the comment.
import type {
  ServerEvent,
  ServerEventMap,
  ServerEventType,
} from "../src/generated/events.js";
import { fixtures } from "./fixtures/events.js";

type MessageEvents = Extract<ServerEvent, { type: `room.message.${string}` }>;

/** The same events, and one that was added to the catalog. */
type MoreEvents = MessageEvents | { readonly type: "room.message.pinned" };

// Style 1: a switch whose default has nothing left. It is checked by the
// compiler alone, so at run time a newer server's event falls through.

export function handlesAll(event: MessageEvents): string {
  switch (event.type) {
    case "room.message.posted":
    case "room.message.edited":
      return event.message.body;
    case "room.message.deleted":
      return event.message.id;
    default:
      event satisfies never;
      return "";
  }
}

export function missesOne(event: MoreEvents): string {
  switch (event.type) {
    case "room.message.posted":
    case "room.message.edited":
      return event.message.body;
    case "room.message.deleted":
      return event.message.id;
    default:
      // @ts-expect-error room.message.pinned has no case
      event satisfies never;
      return "";
  }
}

// Style 2: a record with a function for each type.

type Handlers<E extends { readonly type: string }> = {
  readonly [T in E["type"]]: (
    event: Extract<E, { readonly type: T }>,
  ) => string;
};

const handlers = {
  "room.message.posted": (event) => event.message.body,
  "room.message.edited": (event) => event.message.editedAt ?? "",
  "room.message.deleted": (event) => event.message.id,
} satisfies Handlers<MessageEvents>;

// @ts-expect-error room.message.pinned has no function
handlers satisfies Handlers<MoreEvents>;

// Of the whole catalog: the fixtures have every type, and lack one without it.

fixtures satisfies { readonly [T in ServerEventType]: ServerEventMap[T] };

const { "workspace.member.joined": joined, ...rest } = fixtures;

// @ts-expect-error workspace.member.joined is gone
rest satisfies { readonly [T in ServerEventType]: ServerEventMap[T] };

// The types are exact.

joined satisfies ServerEvent;

type Message = ServerEventMap["room.message.posted"]["message"];
const { message } = fixtures["room.message.posted"];
message satisfies Message;

// @ts-expect-error null until edited, but never absent
({ ...message, editedAt: undefined }) satisfies Message;

type Subscribed = ServerEventMap["system.subscribed"];

// @ts-expect-error absent without a ref in the question, but never null
({ ...fixtures["system.subscribed"], ref: null }) satisfies Subscribed;

type RoleDeleted = ServerEventMap["workspace.role.deleted"];

// @ts-expect-error a tombstone has no name
export type Name = RoleDeleted["role"]["name"];

/** Can be read of any event; where they never stand they are undefined. */
export const envelope = (event: ServerEvent): (string | undefined)[] => [
  event.id,
  event.channel,
  event.cause,
  event.at,
];
