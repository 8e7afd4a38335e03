import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import { freePort } from "../../client/test/support/server.js";

/** All that somebody writes who knows nothing: the rest is nginx's defaults. */
export const defaultSettings = `
server {
    listen 80;
    location / {
        proxy_pass http://127.0.0.1:8080;
    }
}`;

/** What our documentation says, word for word. */
export function documentedSettings(): string {
  const file = join(import.meta.dirname, "../../../docs/operations.md");
  const block = /```nginx\n(.*?)```/s.exec(readFileSync(file, "utf8"));
  if (!block) throw new Error(`no nginx settings in ${file}`);
  return block[1]!;
}

/** A real nginx with these settings, in front of `upstream`. */
export class Nginx {
  private constructor(
    readonly url: string,
    readonly stop: () => Promise<void>,
  ) {}

  static async start(settings: string, upstream: string): Promise<Nginx> {
    const dir = mkdtempSync(join(tmpdir(), "orbit-nginx-"));
    const port = await freePort();
    const site = replaced(
      replaced(settings, "listen 80;", `listen 127.0.0.1:${port};`),
      "http://127.0.0.1:8080",
      upstream,
    );
    const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
      (name) => `${name}_temp_path ${dir}/${name};`,
    );
    writeFileSync(
      join(dir, "nginx.conf"),
      `daemon off; master_process off; pid ${dir}/pid; error_log stderr crit;
       events {}
       http { access_log off; ${temp.join(" ")}
       ${site} }`,
    );
    const child = spawn(inject("nginx")!, ["-p", dir, "-c", join(dir, "nginx.conf")], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    const gone = new Promise((resolve) => child.once("exit", resolve));
    const stop = async () => {
      child.kill("SIGKILL");
      await gone;
      rmSync(dir, { recursive: true, force: true });
    };
    const url = `http://127.0.0.1:${port}`;
    for (;;) {
      const up = await fetch(url).then(
        () => true,
        () => false,
      );
      if (up) return new Nginx(url, stop);
      if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function replaced(text: string, what: string, by: string): string {
  if (!text.includes(what)) throw new Error(`the settings have no "${what}"`);
  return text.replace(what, by);
}
