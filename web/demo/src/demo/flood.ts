import { post } from "./api.js";

interface Line {
  readonly cause?: string;
  readonly done?: boolean;
  readonly error?: string;
}

/** How long the server may be away in the middle of a flood, in milliseconds. */
const AWAY_MS = 30_000;
const PAUSE_MS = 300;

/**
 * Makes the server commit `count` changes, and calls `committed` with the cause
 * of each as it is. A restart in between ends a flood; it is taken up again with
 * what is left.
 */
export async function flood(count: number, committed: (cause: string) => void): Promise<void> {
  let left = count;
  for (let since = Date.now(); left > 0; ) {
    try {
      const response = await post("/demo/flood", { count: left });
      for await (const line of lines(response)) {
        if (line.cause && left-- > 0) committed(line.cause);
        if (line.done) return;
        since = Date.now();
      }
    } catch (error) {
      // Only a server that can't be reached throws a TypeError: everything else it said itself.
      if (!(error instanceof TypeError) || Date.now() - since > AWAY_MS) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function* lines(response: Response): AsyncGenerator<Line> {
  let rest = "";
  const decoder = new TextDecoder();
  const reader = response.body!.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const whole = rest.split("\n");
    rest = whole.pop()!;
    for (const line of whole) yield JSON.parse(line) as Line;
  }
}
