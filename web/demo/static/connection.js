// One live connection to a workspace: WebSocket first, server-sent events where
// a network blocks it. It keeps one number, the position, and comes back with it.

const LIVE_WITHIN_MS = 5000; // silence allowed before system.live: an open socket proves nothing
const MAX_BACKOFF_MS = 15000;
const MAX_ROOMS = 50; // the server's default limit per session
const RESTART = 4000; // a private close code: not a clean leave, so presence doesn't flicker

/** Close codes after which coming back is pointless; everything else reconnects. */
const TERMINAL = new Set([4400, 4401, 4403, 4413]);

const opens = { ws: openWebSocket, sse: openEventStream };

export class Connection {
  position = null; // null: a snapshot is needed before connecting
  transport = "ws";
  #attempt = 0;
  #stopped = false;
  #abort = new AbortController();
  #send = null;
  #wake = () => {};

  /**
   * @param {object} o
   * @param {string} o.workspace slug
   * @param {() => Promise<string>} o.hydrate fetches the snapshot, returns its position
   * @param {() => string[]} o.rooms ids of the rooms to subscribe to
   * @param {(event: object, replayed: boolean) => void} o.onEvent
   * @param {(state: string, detail?: object) => void} o.onState connecting, live, waiting, ended
   */
  constructor(o) {
    this.o = o;
    addEventListener("online", () => this.#wake());
  }

  async run() {
    while (!this.#stopped) {
      const end = await this.#once();
      if (this.#stopped) return;
      if (TERMINAL.has(end.code)) {
        this.o.onState("ended", end);
        return;
      }
      if (end.code === RESTART) continue;
      // Full jitter: a thousand tabs that lost the same server don't come back at once.
      const delay = end.delayMs ?? Math.random() * Math.min(MAX_BACKOFF_MS, 500 * 2 ** this.#attempt++);
      this.o.onState("waiting", { delay });
      await Promise.race([new Promise((r) => setTimeout(r, delay)), new Promise((r) => (this.#wake = r))]);
    }
  }

  stop() {
    this.#stopped = true;
    this.#abort.abort(1000);
    this.#wake();
  }

  /** Reopens at once, from the present position. */
  restart() {
    this.#abort.abort(RESTART);
    this.#wake();
  }

  switchTransport() {
    this.transport = this.transport === "ws" ? "sse" : "ws";
    this.restart();
  }

  /** Adds a room that came into being at the present position. */
  subscribe(room) {
    if (this.#send) this.#send({ type: "subscribe", room, position: this.position });
    else this.restart(); // a stream's rooms are fixed by its URL
  }

  unsubscribe(room) {
    this.#send?.({ type: "unsubscribe", room });
  }

  /** One connection, from the snapshot (if needed) to its end: {code, delayMs?}. */
  async #once() {
    const abort = (this.#abort = new AbortController());
    this.o.onState("connecting");
    try {
      this.position ??= await this.o.hydrate();
    } catch (problem) {
      return { code: { 401: 4401, 404: 4403 }[problem.status] ?? 0 };
    }
    if (abort.signal.aborted) return { code: abort.signal.reason };

    let live = false, heartbeatMs = 0, goodbye = null, timer;
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(4408), live ? 1.5 * heartbeatMs : LIVE_WITHIN_MS);
    };
    const deliver = (line) => {
      // After an abort the rest of a batch is dropped: the position stands before it.
      if (!line || abort.signal.aborted) return;
      listen();
      const event = JSON.parse(line);
      switch (event.type) {
        case "system.hello":
          heartbeatMs = event.heartbeatMs;
          if (!event.resumed) this.position = null; // whatever follows, there is a gap
          break;
        case "system.live":
          live = true;
          this.#attempt = 0;
          this.o.onState("live");
          break;
        case "system.resync":
          this.position = null;
          break;
        case "system.goodbye":
          goodbye = event;
          break;
      }
      // Entries replayed by a subscribe may be older than the position.
      if (this.position && event.id && isAfter(event.id, this.position)) this.position = event.id;
      this.o.onEvent(event, !live);
      if (event.type === "system.resync") this.restart();
    };

    listen();
    let code;
    try {
      code = await opens[this.transport](this.#url(), deliver, abort.signal, (send) => (this.#send = send));
    } catch {
      code = abort.signal.aborted ? abort.signal.reason : 0;
    }
    clearTimeout(timer);
    this.#send = null;
    if (goodbye) return goodbye.reconnect ? { code: 0, delayMs: goodbye.delayMs || undefined } : { code: goodbye.code };
    if (!live && code !== RESTART && !TERMINAL.has(code)) return { code: await this.#diagnose() };
    return { code };
  }

  /** A refused or hung upgrade says nothing: ask by plain HTTP what was wrong. */
  async #diagnose() {
    try {
      const { status } = await fetch(`/v1/probe?workspace=${this.o.workspace}`, { cache: "no-store" });
      if (status === 401) return 4401;
      if (status === 403) return 4403;
      if (status === 204) this.transport = this.transport === "ws" ? "sse" : "ws"; // the network blocks this one
    } catch {
      // The server is away: no reason to change the transport.
    }
    return 0;
  }

  #url() {
    const query = new URLSearchParams({ workspace: this.o.workspace, position: this.position });
    const rooms = this.o.rooms().slice(0, MAX_ROOMS).join(",");
    if (rooms) query.set("rooms", rooms);
    return new URL(`/v1/${this.transport}?${query}`, location.href);
  }
}

/** Whether position a is of another epoch than b, or has a higher offset. */
function isAfter(a, b) {
  const [epoch, offset] = a.split("-");
  const [epochB, offsetB] = b.split("-");
  return epoch !== epochB || Number(offset) > Number(offsetB);
}

/** Resolves with the close code. Each text message is one or more events, a line each. */
function openWebSocket(url, deliver, signal, ready) {
  return new Promise((resolve) => {
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, "orbit.v1");
    socket.onopen = () => ready((message) => socket.send(JSON.stringify(message)));
    socket.onmessage = ({ data }) => data.split("\n").forEach(deliver);
    socket.onclose = ({ code }) => resolve(code);
    signal.addEventListener("abort", () => {
      socket.close(signal.reason);
      resolve(signal.reason); // the closing handshake of a dead link never ends
    });
  });
}

/** Resolves with a close code too. Read with fetch, for EventSource hides why it failed. */
async function openEventStream(url, deliver, signal) {
  const response = await fetch(url, { signal, cache: "no-store" });
  if (response.status !== 200) return { 401: 4401, 403: 4403 }[response.status] ?? 0;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return 0;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data:")) deliver(line.slice(5).trim());
  }
}
