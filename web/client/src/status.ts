/**
 * - `idle`: not started.
 * - `connecting`: fetching the first snapshot, or opening a transport.
 * - `syncing`: connected; what was missed is being replayed, or a snapshot fetched.
 * - `live`: up to date, events arrive as they happen.
 * - `waiting`: disconnected; comes back by itself (or after signing in).
 * - `offline`: as `waiting`, and the browser says that there is no network.
 * - `stopped`: closed, or refused for good. `start()` tries again.
 */
export type Status = "idle" | "connecting" | "syncing" | "live" | "waiting" | "offline" | "stopped";

/** What accompanies a status. */
export interface StatusInfo {
  /** The transport that is live or being tried; `null` without one. */
  readonly transport: string | null;
  /** `waiting` and `offline`: milliseconds until the next attempt, if that is settled. */
  readonly delayMs?: number;
  /** `waiting`, `offline` and `stopped`: why, for logs and for people who read logs. */
  readonly reason?: string;
}

/** What moves the machine. */
export type Step = "open" | "sync" | "live" | "wait" | "offline" | "stop";

/** Every transition there is. A step that isn't here is a bug, and throws. */
export const transitions: Record<Status, Partial<Record<Step, Status>>> = {
  idle: { open: "connecting", stop: "stopped" },
  connecting: { sync: "syncing", wait: "waiting", stop: "stopped" },
  syncing: { sync: "syncing", live: "live", open: "connecting", wait: "waiting", stop: "stopped" },
  live: { live: "live", sync: "syncing", open: "connecting", wait: "waiting", stop: "stopped" },
  waiting: { open: "connecting", wait: "waiting", offline: "offline", stop: "stopped" },
  offline: { open: "connecting", wait: "waiting", stop: "stopped" },
  stopped: { open: "connecting", stop: "stopped" },
};

export class StatusMachine {
  status: Status = "idle";

  constructor(private readonly changed: (status: Status, info: StatusInfo) => void) {}

  move(step: Step, info: StatusInfo): void {
    const next = transitions[this.status][step];
    if (!next) throw new Error(`orbit: no step "${step}" from "${this.status}"`);
    this.status = next;
    this.changed(next, info);
  }
}
