// Who is signed in on a side. React Query owns what was asked for: the session
// and the snapshot. What changes from there on comes as events.
import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { Snapshot } from "@orbit/realtime";
import { detail } from "../demo/api.js";
import type { Side } from "../tally.js";
import { useToast } from "../ui/toasts.js";

export const people = ["owner", "admin", "guest"] as const;
export type Person = (typeof people)[number];

export const base = (side: Side): string => `${location.origin}/demo/${side}`;

/** Somebody who is signed in; each sign-in is another one. */
export interface Session {
  readonly person: Person;
  readonly key: string;
}

const RETURNING = "orbit:demo:returning";
const first: Record<Side, Person> = { left: "owner", right: "guest" };

async function signIn(side: Side, person: Person): Promise<Session> {
  const response = await fetch(`${base(side)}/v1/demo/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user: person }),
  });
  if (!response.ok) throw new Error(await detail(response));
  rememberVisit();
  return { person, key: crypto.randomUUID() };
}

/** Whoever the cookie says, or the side's first person. */
async function resumeOrSignIn(side: Side): Promise<Session> {
  if (!isReturning()) return signIn(side, first[side]);
  const response = await fetch(`${base(side)}/v1/me`);
  if (response.ok) {
    const { user } = (await response.json()) as { user: { email: string } };
    const person = people.find((one) => user.email.startsWith(`${one}@`));
    if (person) return { person, key: crypto.randomUUID() };
  } else if (response.status !== 401) throw new Error(await detail(response));
  return signIn(side, first[side]);
}

/** Whether this browser was here before: if not, there is no cookie to ask about. */
function isReturning(): boolean {
  try {
    return localStorage.getItem(RETURNING) !== null;
  } catch {
    return true; // it has to be asked
  }
}

function rememberVisit(): void {
  try {
    localStorage.setItem(RETURNING, "yes");
  } catch {
    // It is asked next time.
  }
}

const sessionQuery = (side: Side) =>
  queryOptions({
    queryKey: ["session", side],
    queryFn: (): Promise<Session | null> => resumeOrSignIn(side),
    staleTime: Infinity,
    retry: true, // the server may be restarting
    retryDelay: 1000,
  });

export function useSession(side: Side) {
  const client = useQueryClient();
  const toast = useToast();
  const { data: session, isPending } = useQuery(sessionQuery(side));
  const become = (next: Session | null) => client.setQueryData(sessionQuery(side).queryKey, next);
  const { mutate, isPending: isChanging } = useMutation({
    mutationFn: async (person: Person | null) => {
      const response = await fetch(`${base(side)}/v1/logout`, { method: "POST" });
      if (!response.ok && response.status !== 401) throw new Error(await detail(response));
      return person && signIn(side, person);
    },
    onSuccess: become,
    onError: (error) => toast("Can't reach the server", error.message, "bad"),
  });
  return {
    session: session ?? null,
    isPending: isPending || isChanging,
    /** Signs in as somebody, or with null out. */
    change: (person: Person | null) => mutate(person),
    /** The server says that nobody is signed in. */
    ended: () => void become(null),
  };
}

/** Without data: it is on its way; `null`: this person is no member. `again` asks anew. */
export function useSnapshot(side: Side, session: Session) {
  const client = useQueryClient();
  const queryKey = ["snapshot", side, session.key];
  const { data } = useQuery({
    queryKey,
    queryFn: async ({ signal }): Promise<Snapshot | null> => {
      const response = await fetch(`${base(side)}/v1/workspaces/acme/snapshot`, { signal });
      if (response.status === 404) return null;
      if (!response.ok) throw new Error(await detail(response));
      return (await response.json()) as Snapshot;
    },
    staleTime: Infinity, // realtime keeps it fresh
    gcTime: 0,
    retry: true,
    retryDelay: 1000,
  });
  return { data, again: () => void client.resetQueries({ queryKey }) };
}
