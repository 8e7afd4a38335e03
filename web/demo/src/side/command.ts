import { StaleError } from "@orbit/realtime";
import { useRealtime, useStores } from "@orbit/realtime/react";
import { detail } from "../demo/api.js";
import { useTally } from "../demo/useTally.js";
import { sides, type Side } from "../tally.js";
import { useToast } from "../ui/toasts.js";
import { useSide } from "./context.js";
import { whoHasRoom, whoIs } from "./present.js";

/** Sends a command and waits until its change is shown. False: it was refused, or the server can't be reached. */
export type Command = (method: string, path: string, body?: unknown) => Promise<boolean>;

export function useCommand(): Command {
  const client = useRealtime();
  const { roomsStore } = useStores();
  const tally = useTally();
  const toast = useToast();
  const side = useSide();

  /** Which sides hear of it. Of what happens in private rooms only who does it is certain. */
  const audience = (path: string): readonly Side[] => {
    const [kind, id, part] = path.split("/");
    if (kind === "members" && part === "notifications") return whoIs(id!);
    if (kind !== "rooms") return sides;
    if (part === "messages") return whoHasRoom(id!);
    return id && roomsStore.state.get(id)?.private ? [side] : sides;
  };

  return async (method, path, body) => {
    const toWhom = audience(path);
    let response: Response;
    try {
      response = await client.request(path, {
        method,
        ...(body !== undefined && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
      });
    } catch {
      toast("Can't reach the server", "Nothing was changed, as far as this side knows.", "bad");
      return false;
    }
    if (!response.ok) {
      toast("Refused", await detail(response), "bad");
      return false;
    }
    const cause = response.headers.get("Orbit-Event-Id");
    if (!cause) return true; // nothing had to change
    // A new private room: its answer says so, its path can't.
    const made = (await response.json().catch(() => null)) as { room?: { private?: boolean } } | null;
    tally.sent(cause, made?.room?.private ? [side] : toWhom);
    try {
      await client.until(cause);
    } catch (error) {
      if (error instanceof StaleError) toast("Saved, but not shown", "Its projector is broken: an operator has to mend it.", "bad");
    }
    return true;
  };
}
