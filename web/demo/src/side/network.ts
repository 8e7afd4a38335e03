import type { Environment, Signals } from "@orbit/realtime";

/**
 * What a browser would tell about the side's network. Ours can't know that the
 * chaos proxy pulled a plug, so the page says it, as the operating system would.
 */
export class Network implements Environment {
  #online = true;
  readonly #listening = new Set<Signals>();

  online(): boolean {
    return this.#online;
  }

  listen(signals: Signals): () => void {
    this.#listening.add(signals);
    return () => this.#listening.delete(signals);
  }

  /** It is another network now: `online`, or with the plug pulled. */
  changed(online: boolean): void {
    this.#online = online;
    if (online) for (const signals of this.#listening) signals.online();
  }
}
