import { availableParallelism } from "node:os";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { bundleThread } from "./tools/build.ts";
import { serveRealSnapshots } from "./tools/testing/real-snapshots.ts";

const migrations = await readD1Migrations(new URL("./migrations", import.meta.url).pathname);

/**
 * Many files wait for most of their time, so two cores carry two at once; with three, clouds of e2e run into their limits.
 * The same number for every project: then files of different projects run side by side, those of e2e first.
 */
const maxWorkers = Math.max(2, availableParallelism() - 1);

/** What the tests in workerd run with; values of no other deployment. */
const bindings = {
  TEST_MIGRATIONS: migrations,
  AGENT_JWT_SECRET: "a-secret-for-tests-of-at-least-32-characters",
  SECRETS_KEYS: "1:a-key-for-tests-of-forty-three-characters-A",
  ADMIN_TOKEN: "sna_a-token-for-tests",
  METRICS_TOKEN: "a-metrics-token-for-tests",
  // A line for each request would hide what failed.
  LOG_LEVEL: "warn",
  VAST_API_KEY: "vast-key-for-tests",
  VAST_URL: "http://vast.test",
  PUBLIC_URL: "http://soneca.test",
};

const miniflare = { bindings, serviceBindings: { REAL_SNAPSHOTS: serveRealSnapshots } };

/** Coder threads start from one text, as in the built agent: from thirty sources each takes a tenth of a second. */
const bundledThread: Plugin = {
  name: "bundled-thread",
  resolveId: (id) => (id === "soneca:coder-thread" ? `\0${id}` : null),
  load: async (id) =>
    id === "\0soneca:coder-thread" ? `export default ${JSON.stringify(await bundleThread())};` : null,
};

export default defineConfig({
  test: {
    projects: [
      {
        plugins: [bundledThread],
        test: {
          name: "node",
          environment: "node",
          include: [
            "{agent,cli,local-cloud,tools,bench,deploy}/**/*.test.ts",
            "worker/{http,notices,providers,tunnel,proxy}/*.test.ts",
          ],
          globalSetup: ["tools/testing/build-programs.ts"],
          maxWorkers,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "pure",
          environment: "node",
          include: ["{core,dashboard}/**/*.test.ts"],
          // Nothing there changes the process it runs in, and a process for each file takes longer than most of them.
          isolate: false,
          maxWorkers,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        plugins: [cloudflareTest({ wrangler: { configPath: "./wrangler.toml" }, miniflare })],
        test: {
          name: "worker",
          include: ["worker/test/**/*.test.ts"],
          setupFiles: ["worker/test/setup.ts"],
          maxWorkers,
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "e2e",
          environment: "node",
          include: ["e2e/**/*.test.ts"],
          maxWorkers,
          // Of the tests that run side by side in one cloud.
          maxConcurrency: 2,
          testTimeout: 360_000,
          hookTimeout: 180_000,
          // The same kills are in the campaign's test; these look closer at each (npm run test:slow).
          exclude: process.env.SONECA_SLOW ? [] : ["e2e/kill-*.test.ts"],
        },
      },
    ],
  },
});
