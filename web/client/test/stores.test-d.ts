// Compiled, never run: what the types of the stores and hooks allow. Each line
// below an expected error is a test.
import type { Member, Room } from "../src/index.js";
import {
  RealtimeProvider,
  useConnection,
  useMember,
  usePresence,
  useRoom,
  useServerEvent,
  type RealtimeProviderProps,
} from "../src/react/index.js";
import { createStores, type Stores } from "../src/stores/index.js";

declare const stores: Stores;

stores.membersStore.state satisfies ReadonlyMap<string, Member>;
stores.membersStore.get().get("id") satisfies Member | undefined;

// @ts-expect-error only events write
void stores.membersStore.setState;

// @ts-expect-error nor does anybody else
void stores.membersStore.state.set;

// @ts-expect-error entities are read-only
(member: Member) => (member.name = "");

export function Component() {
  useMember("id") satisfies Member | undefined;
  usePresence(useMember("id")?.id) satisfies boolean; // not known yet: nobody is online
  usePresence() satisfies ReadonlySet<string>;
  // @ts-expect-error it may not be there
  useMember("id") satisfies Member;
  useRoom("id").room satisfies Room | undefined;
  usePresence() satisfies ReadonlySet<string>;
  usePresence("id") satisfies boolean;
  useConnection(({ status }) => status === "live") satisfies boolean;
  // @ts-expect-error a new object each time would render each time
  useConnection(({ status, transport }) => ({ status, transport }));
  useServerEvent("workspace.role.created", ({ role }) => void role.permissions);
  // @ts-expect-error there is no such type
  useServerEvent("workspace.role.painted", () => {});
  // @ts-expect-error a tombstone has no name
  useServerEvent("workspace.role.deleted", ({ role }) => void role.name);
}

const provider = (props: RealtimeProviderProps) => RealtimeProvider(props);
provider({ workspace: "acme" });
provider({ workspace: "acme", initialSnapshot: undefined });
provider({ client: stores.client });
// @ts-expect-error a workspace or a client
provider({});
// @ts-expect-error not both
provider({ workspace: "acme", client: stores.client });
// @ts-expect-error it is the snapshot's
provider({ workspace: "acme", position: "e-1" });

// @ts-expect-error of a client
createStores({});
