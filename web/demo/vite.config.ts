import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = "http://localhost:8080"; // `orbit serve --demo`

export default defineConfig({
  base: "./",
  plugins: [react()],
  build: {
    target: "es2023",
    cssTarget: "chrome123", // the first with light-dark()
    modulePreload: false, // one file, and its polyfill would be inline
    assetsInlineLimit: 0, // the page's policy forbids data: URLs
    cssCodeSplit: false,
    reportCompressedSize: false,
    // Names without hashes: the server answers by ETag, and a diff of dist stays readable.
    rolldownOptions: { output: { entryFileNames: "app.js", chunkFileNames: "[name].js", assetFileNames: "[name][extname]" } },
  },
  server: {
    proxy: Object.fromEntries(["/v1", "/demo"].map((path) => [path, { target: server, ws: true }])),
  },
});
