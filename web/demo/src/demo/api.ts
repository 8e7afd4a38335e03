// The buttons' side of the demo server: /demo/state, and what changes it.
import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useToast } from "../ui/toasts.js";
import type { Side } from "../tally.js";

export interface Faults {
  readonly plug: "in" | "pulled";
  readonly websocket: "open" | "blocked" | "hangs";
  readonly sse: "open" | "buffered";
  readonly latencyMs: number;
}

export interface DemoState {
  readonly sides: Readonly<Record<Side, Faults>>;
  /** How a projector is broken, by the type of its events. */
  readonly broken: Readonly<Record<string, string>>;
  readonly types: readonly string[];
  /** Events that are committed and not projected yet. */
  readonly waiting: number;
  readonly starts: number;
  /** Where operators connect. */
  readonly admin: string;
}

/** How often the state is looked at, in milliseconds: somebody may press a button in another tab. */
const POLL_MS = 1000;

export async function post(path: string, body: unknown): Promise<Response> {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await detail(response));
  return response;
}

/** What a problem document tells people. */
export async function detail(response: Response): Promise<string> {
  const problem = (await response.json().catch(() => null)) as { detail?: string } | null;
  return problem?.detail ?? `HTTP ${response.status}`;
}

const stateQuery = queryOptions({
  queryKey: ["demo"],
  queryFn: async ({ signal }): Promise<DemoState> => {
    const response = await fetch("/demo/state", { signal, cache: "no-store" });
    if (!response.ok) throw new Error(await detail(response));
    return (await response.json()) as DemoState;
  },
  refetchInterval: POLL_MS,
  retry: false,
});

export function useDemoState(): { readonly state: DemoState | undefined; readonly isDown: boolean } {
  const { data, isError } = useQuery(stateQuery);
  return { state: data, isDown: isError };
}

/** A button that changes the state: its answer is the new one. */
export function useDemoButton(): (path: string, body: unknown) => void {
  const client = useQueryClient();
  const toast = useToast();
  const { mutate } = useMutation({
    mutationFn: async ({ path, body }: { path: string; body: unknown }) => {
      const response = await post(path, body);
      return response.status === 200 ? ((await response.json()) as DemoState) : undefined;
    },
    onSuccess: (state) => state && client.setQueryData(stateQuery.queryKey, state),
    onError: (error) => toast("That didn't work", error.message, "bad"),
  });
  return (path, body) => mutate({ path, body });
}
