import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket as NodeWebSocket } from "ws";
import type { Snapshot } from "../../src/index.js";
import type { WebSocketConstructor } from "../../src/transports/transport.js";

const root = join(import.meta.dirname, "../../../..");

/** Builds the server once; `ORBIT_BINARY` names one that is there already. */
export function buildServer(): { binary: string; remove(): void } {
  if (process.env.ORBIT_BINARY) return { binary: process.env.ORBIT_BINARY, remove: () => {} };
  const dir = mkdtempSync(join(tmpdir(), "orbit-client-"));
  const binary = join(dir, "orbit");
  execFileSync("go", ["build", "-o", binary, "./app/orbit"], { cwd: root, stdio: "inherit" });
  return { binary, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The real server with the demo's people, on a database of its own. */
export class Server {
  #process: ChildProcess | null = null;
  #dir = mkdtempSync(join(tmpdir(), "orbit-client-"));

  private constructor(
    private readonly binary: string,
    readonly port: number,
    private readonly env: Record<string, string>,
  ) {}

  /** `env`: settings beside those that make tests quick. */
  static async start(binary: string, env: Record<string, string> = {}): Promise<Server> {
    const server = new Server(binary, await freePort(), env);
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    this.#process = spawn(
      this.binary,
      ["serve", "--demo", "--addr", `127.0.0.1:${this.port}`, "--admin-addr", "127.0.0.1:0"],
      {
        env: {
          ...process.env,
          DATABASE_URL: join(this.#dir, "orbit.db"),
          ORBIT_HEARTBEAT: "1s",
          ORBIT_PONG_WAIT: "1s",
          ORBIT_LOG_LEVEL: "error",
          ...this.env,
        },
        stdio: ["ignore", "ignore", "inherit"],
      },
    );
    for (;;) {
      const up = await fetch(`${this.url}/v1/me`).then(
        () => true,
        () => false,
      );
      if (up) return;
      if (this.#process.exitCode !== null) throw new Error(`orbit serve ended with ${this.#process.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Changes settings, for the next start. */
  set(env: Record<string, string>): void {
    Object.assign(this.env, env);
  }

  /** As a crash: no goodbye, no close frame. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  /** In order, as a deployment does it: sessions are sent away first. */
  stop(): Promise<void> {
    return this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const process = this.#process;
    this.#process = null;
    if (!process || process.exitCode !== null) return;
    const gone = new Promise((resolve) => process.once("exit", resolve));
    process.kill(signal);
    await gone;
  }

  /** Runs another command of the binary on the same database. */
  run(...args: string[]): void {
    const env = { ...process.env, DATABASE_URL: join(this.#dir, "orbit.db") };
    execFileSync(this.binary, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Signs in as one of the demo's people. */
  async signIn(user: "owner" | "admin" | "guest"): Promise<Person> {
    const response = await fetch(`${this.url}/v1/demo/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ user }),
    });
    if (!response.ok) throw new Error(`signing in: HTTP ${response.status}`);
    return new Person(this.url, response.headers.getSetCookie()[0]!.split(";")[0]!);
  }
}

/** Somebody signed in, with what a browser would do for them: send the cookie. */
export class Person {
  constructor(
    readonly url: string,
    readonly cookie: string,
  ) {}

  fetch: typeof globalThis.fetch = (input, init) =>
    globalThis.fetch(input, {
      ...init,
      headers: { ...(init?.headers as Record<string, string>), Cookie: this.cookie },
    });

  get WebSocket(): WebSocketConstructor {
    const { cookie } = this;
    return class extends NodeWebSocket {
      constructor(url: URL, protocol: string) {
        super(url, protocol, { headers: { Cookie: cookie } });
      }
    };
  }

  /** Sends a command in acme. Returns its entity, and the id for `until`. */
  async command(
    method: string,
    path: string,
    body?: object,
  ): Promise<{ cause: string; entity: { id: string; version: number } }> {
    const response = await this.fetch(`${this.url}/v1${path}`, {
      method,
      headers: { "Content-Type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: HTTP ${response.status} ${await response.text()}`);
    const answer = response.status === 204 ? {} : ((await response.json()) as object);
    return {
      cause: response.headers.get("Orbit-Event-Id") ?? "",
      entity: Object.values(answer)[0] as { id: string; version: number },
    };
  }

  async snapshot(): Promise<Snapshot> {
    const response = await this.fetch(`${this.url}/v1/workspaces/acme/snapshot`);
    return (await response.json()) as Snapshot;
  }
}
