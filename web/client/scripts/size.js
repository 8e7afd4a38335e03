// Prints what the package costs a page: everything with all transports and the
// dependency, minified and gzipped. Fails over the limit.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const LIMIT = 8 * 1024;

const { outputFiles } = await build({
  stdin: { contents: `export { createRealtime } from "./dist/index.js";`, resolveDir: import.meta.dirname + "/.." },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const min = outputFiles[0].contents;
const gzip = gzipSync(min, { level: 9 }).length;
console.log(`core and all transports: ${min.length} bytes minified, ${gzip} gzipped (limit ${LIMIT})`);
if (gzip > LIMIT) process.exitCode = 1;
