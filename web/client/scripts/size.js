// Prints what the package costs a page, minified and gzipped, with its
// dependency. What React or the page has anyway is left out. Fails over a limit.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/**
 * What a page imports, and the limit in bytes. Sharing between tabs is in a file of
 * its own, which is fetched when a transport that is shared is used.
 */
const core = `export { createRealtime } from "./dist/index.js";`;
const entries = [
  { name: "core and all transports", code: core, external: ["./shared.js"], limit: 8950 },
  { name: "  of which SSE and long poll", code: core, external: ["./shared.js"], without: /sse|poll|eventsource/, limit: 1700 },
  { name: "  and with sharing between tabs", code: core, limit: 11950 },
  { name: "stores alone", code: `export { createStores } from "./dist/stores/index.js";`, limit: 5450 },
  { name: "React: provider, hooks, stores, core", code: `export * from "./dist/react/index.js";`, external: ["./shared.js"], limit: 14900 },
];

async function measure(code, external, without) {
  const drop = {
    name: "drop",
    setup: (build) => build.onLoad({ filter: without }, () => ({ contents: "module.exports = {}" })),
  };
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: import.meta.dirname + "/.." },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["react", ...external],
    plugins: without ? [drop] : [],
    logLevel: "error",
    write: false,
  });
  const { contents } = outputFiles[0];
  return { minified: contents.length, gzipped: gzipSync(contents, { level: 9 }).length };
}

const rows = [];
for (const { name, code, external = [], without, limit } of entries) {
  let size = await measure(code, external);
  if (without) {
    const rest = await measure(code, external, without);
    size = { minified: size.minified - rest.minified, gzipped: size.gzipped - rest.gzipped };
  }
  rows.push({ name, ...size, limit });
  if (size.gzipped > limit) process.exitCode = 1;
}
console.table(rows);
