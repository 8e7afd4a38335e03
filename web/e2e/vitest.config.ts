import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "setup/global.ts",
    // Each test has a server of its own, and browsers: two cores carry one at a time.
    fileParallelism: false,
    isolate: false, // all files in one process, and so with one Chromium
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
