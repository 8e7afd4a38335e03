// A reverse proxy that does to connections what real networks do. It also serves
// the page, so that page and API share an origin.
import { readFile } from "node:fs/promises";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { basename, extname, join } from "node:path";
import type { Duplex, Writable } from "node:stream";
import { Flow, kindOf, kinds, type Fault, type Kind } from "./faults.js";

const contentTypes: Record<string, string> = { ".html": "text/html", ".js": "text/javascript" };

export class FaultProxy {
  /** What happened, for people: a line per request and fault. */
  readonly log: string[] = [];
  #faults = new Map<Kind, Fault>();
  #flows = new Map<Flow, Socket>();
  #requests = new Map<Kind, number>();
  #born = Date.now();

  private constructor(
    private readonly server: Server,
    private readonly upstream: number,
    private readonly page: string,
    private readonly random: () => number,
  ) {
    server.on("request", (req, res) => void this.#answer(req, res));
    server.on("upgrade", (req, socket, head) => void this.#upgrade(req, socket as Socket, head));
  }

  /** In front of 127.0.0.1:`upstream`, with the files of the folder `page`. */
  static async start(upstream: number, page: string, random = Math.random): Promise<FaultProxy> {
    const server = createServer({ keepAliveTimeout: 0 });
    const proxy = new FaultProxy(server, upstream, page, random);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** How many requests of the kind came. */
  requests(kind: Kind): number {
    return this.#requests.get(kind) ?? 0;
  }

  /** How many connections of the kind are open. */
  open(kind: Kind): number {
    return [...this.#flows.keys()].filter((flow) => flow.kind === kind).length;
  }

  /** From now on, until another fault or `heal`. An open connection is concerned as well. */
  set(which: Kind | "all", fault: Fault): void {
    this.note(`fault on ${which}: ${JSON.stringify(fault)}`);
    for (const kind of which === "all" ? kinds : [which]) this.#faults.set(kind, fault);
    for (const flow of this.#flows.keys()) flow.changed();
  }

  /** All is well again. */
  heal(): void {
    this.set("all", {});
  }

  /** Resets the open connections, in the midst of whatever they do. */
  cut(which: Kind | "all" = "all"): void {
    this.note(`cut ${which}`);
    for (const flow of this.#flows.keys()) if (which === "all" || flow.kind === which) flow.cut();
  }

  /** Forgets the open connections, as a router does that was switched off and on: both ends learn nothing. */
  lose(): void {
    this.note("lose all");
    for (const flow of this.#flows.keys()) flow.lose();
  }

  /** The plug is pulled: what is open is reset, and so is whatever comes. */
  unplug(): void {
    this.set("all", { refuse: "reset" });
    this.cut();
  }

  async close(): Promise<void> {
    this.cut();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Adds a line to the log. */
  note(line: string): void {
    this.log.push(`${String(Date.now() - this.#born).padStart(6)} ms  ${line}`);
  }

  /** A flow for the request, or `null` if it was refused. */
  #admit(req: IncomingMessage, socket: Socket): Flow | null {
    const kind = kindOf(req.url!);
    this.#requests.set(kind, this.requests(kind) + 1);
    const flow = new Flow(kind, this.#faults, this.random);
    const { refuse } = flow.fault;
    this.note(`${req.method} ${req.url}${refuse ? ` refused: ${refuse}` : ""}`);
    if (refuse === "reset") {
      socket.resetAndDestroy();
      return null;
    }
    this.#flows.set(flow, socket);
    flow.signal.addEventListener("abort", () => socket.resetAndDestroy());
    return flow;
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (!req.url!.startsWith("/v1/")) return this.#file(req, res);
    const flow = this.#admit(req, req.socket);
    if (!flow) return;
    // Left by the browser: the server is left as well.
    res.on("close", () => res.writableFinished || flow.cut());
    try {
      const { refuse } = flow.fault;
      if (typeof refuse === "number") {
        res.writeHead(refuse, { "Content-Type": "text/plain" }).end("refused by the proxy\n");
        return;
      }
      await flow.opening();
      await this.#forward(flow, req, res);
    } catch (error) {
      this.note(`${flow.kind} ends: ${String(error)}`);
      flow.cut();
    } finally {
      this.#flows.delete(flow);
    }
  }

  async #forward(flow: Flow, req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { method, url, rawHeaders } = req;
    const up = request({
      port: this.upstream,
      host: "127.0.0.1",
      agent: false,
      method,
      path: url,
      headers: rawHeaders,
    });
    flow.signal.addEventListener("abort", () => up.destroy());
    req.pipe(up);
    const answer = await new Promise<IncomingMessage>((resolve, reject) =>
      up.on("response", resolve).on("error", reject),
    );
    const head = () => res.writeHead(answer.statusCode!, answer.rawHeaders).flushHeaders();
    await flow.passing(0, true);
    const { buffer } = flow.fault;
    if (!buffer) head();
    const kept: Buffer[] = [];
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      await flow.passing(chunk.length, true);
      if (buffer) kept.push(chunk);
      else if (!res.write(chunk)) await drained(res);
    }
    if (!answer.complete) throw new Error("the server broke off");
    if (buffer) head();
    res.end(Buffer.concat(kept));
  }

  async #upgrade(req: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
    client.on("error", () => {});
    const flow = this.#admit(req, client);
    if (!flow) return;
    client.on("close", () => flow.cut());
    try {
      const { refuse, stripUpgrade } = flow.fault;
      if (typeof refuse === "number") {
        client.end(`HTTP/1.1 ${refuse} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
        return;
      }
      await flow.opening();
      const server = connect(this.upstream, "127.0.0.1");
      server.on("error", () => {});
      flow.signal.addEventListener("abort", () => server.resetAndDestroy());
      server.write(requestHead(req, stripUpgrade));
      server.write(head);
      await Promise.all([this.#pump(flow, server, client, true), this.#pump(flow, client, server, false)]);
    } catch (error) {
      this.note(`${flow.kind} ends: ${String(error)}`);
      flow.cut();
    } finally {
      this.#flows.delete(flow);
    }
  }

  async #pump(flow: Flow, from: Duplex, to: Duplex, down: boolean): Promise<void> {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      await flow.passing(chunk.length, down);
      if (!to.write(chunk)) await drained(to);
    }
    to.end();
  }

  async #file(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { pathname } = new URL(req.url!, this.url);
    const folder = pathname.startsWith("/assets/") ? "assets" : "";
    try {
      const data = await readFile(join(this.page, folder, basename(pathname)));
      // Without no-store: it would keep the page out of the back/forward cache.
      res.writeHead(200, { "Content-Type": contentTypes[extname(pathname)] ?? "text/plain" }).end(data);
    } catch {
      res.writeHead(404, { "Content-Type": "text/html" }).end("<!doctype html><title>Elsewhere</title>");
    }
  }
}

/** Resolves when more can be written, or when nothing can be anymore. */
function drained(to: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      to.off("drain", done).off("close", done);
      resolve();
    };
    if (to.destroyed) resolve();
    else to.on("drain", done).on("close", done);
  });
}

function requestHead({ method, url, rawHeaders }: IncomingMessage, stripUpgrade = false): string {
  let head = `${method} ${url} HTTP/1.1\r\n`;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (stripUpgrade && /^(connection|upgrade)$/i.test(name)) continue;
    head += `${name}: ${rawHeaders[i + 1]}\r\n`;
  }
  return `${head}${stripUpgrade ? "Connection: close\r\n" : ""}\r\n`;
}
