// Says whether dist/, which the Go binary embeds, is what the sources build.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";

const fresh = mkdtempSync(join(tmpdir(), "orbit-demo-"));
try {
  await build({ build: { outDir: fresh, emptyOutDir: true }, logLevel: "warn" });
  const read = (dir) => Object.fromEntries(readdirSync(dir).sort().map((name) => [name, readFileSync(join(dir, name))]));
  const [want, have] = [read(fresh), read("dist")];
  const old = [...new Set([...Object.keys(want), ...Object.keys(have)])].filter(
    (name) => !want[name] || !have[name] || !want[name].equals(have[name]),
  );
  if (old.length > 0) {
    console.error(`dist is old (${old.join(", ")}): run "npm run build -w client -w demo" in web/ and commit it`);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true });
}
