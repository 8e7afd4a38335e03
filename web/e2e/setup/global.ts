// Once for all tests: what they need is found or built, or it is said what is missing.
import { execFileSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { build } from "vite";
import type { TestProject } from "vitest/node";
import { buildServer } from "../../client/test/support/server.js";

declare module "vitest" {
  interface ProvidedContext {
    /** Paths of what is run; `null`: it isn't here, and its tests are skipped. */
    chromium: string | null;
    nginx: string | null;
    orbit: string;
    /** The folder with the built page. */
    page: string;
  }
}

const web = join(import.meta.dirname, "../..");

export default async function setup(project: TestProject): Promise<() => void> {
  const chromium = find("Chromium", "ORBIT_CHROMIUM", ["chromium", "chromium-browser", "google-chrome"], "chromium");
  const nginx = find("nginx", "ORBIT_NGINX", ["nginx"], "nginx");
  project.provide("chromium", chromium);
  project.provide("nginx", nginx);
  const server = chromium ? buildServer() : { binary: "", remove: () => {} };
  const page = mkdtempSync(join(tmpdir(), "orbit-e2e-page-"));
  if (chromium) await buildPage(page);
  project.provide("orbit", server.binary);
  project.provide("page", page);
  return () => {
    server.remove();
    rmSync(page, { recursive: true, force: true });
  };
}

/** Finds a program by its environment variable, or on the PATH. */
function find(what: string, variable: string, names: string[], debian: string): string | null {
  const path = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"]; // where Debian has nginx
  const named = process.env[variable];
  const found = (named ? [named] : path.flatMap((dir) => names.map((name) => join(dir, name)))).find(executable);
  if (found) return found;
  const mend = `${what} is missing: install it (apt-get install ${debian}), or set ${variable} to its path`;
  if (process.env.CI || named) throw new Error(mend);
  console.warn(`\n  SKIPPED: ${mend}\n`);
  return null;
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The page uses the package as it is published, so that is built first. */
async function buildPage(outDir: string): Promise<void> {
  execFileSync("npm", ["run", "--silent", "build", "-w", "@orbit/realtime"], { cwd: web, stdio: "inherit" });
  await build({
    configFile: false,
    logLevel: "error",
    root: join(web, "e2e/page"),
    build: {
      outDir,
      emptyOutDir: true,
      minify: false,
      rolldownOptions: { input: ["tab.html", "people.html"].map((name) => join(web, "e2e/page", name)) },
    },
    // StrictMode mounts everything twice in React's development build alone.
    define: { "process.env.NODE_ENV": '"development"' },
  });
}
