// Prints what the package costs a page, minified and gzipped, with its
// dependency. What React or the page has anyway is left out. Fails over a limit.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** What a page imports, and the limit in bytes. `lazy`: with what is only fetched when it is needed. */
const entries = [
  {
    name: "core, WebSocket only",
    code: `import { createRealtime, websocket } from "./dist/index.js"; createRealtime({ transports: [websocket] });`,
    limit: 8800,
  },
  { name: "core and all transports", code: `export { createRealtime } from "./dist/index.js";`, limit: 8800 },
  {
    name: "  with sharing between tabs",
    code: `export { createRealtime } from "./dist/index.js";`,
    lazy: true,
    limit: 12200,
  },
];

const rows = [];
for (const { name, code, lazy = false, limit } of entries) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: import.meta.dirname + "/..", sourcefile: "page.js" },
    bundle: true,
    splitting: true,
    outdir: "out",
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["react"],
    write: false,
    metafile: true,
  });
  const files = outputFiles.filter(({ path }) => lazy || !/shared-\w+\.js$/.test(path));
  const bytes = files.reduce((sum, { contents }) => sum + contents.length, 0);
  const gzip = files.reduce((sum, { contents }) => sum + gzipSync(contents, { level: 9 }).length, 0);
  rows.push({ name, minified: bytes, gzipped: gzip, limit });
  if (gzip > limit) process.exitCode = 1;
}
console.table(rows);
