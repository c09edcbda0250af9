/** The bindings of the tests: those of the worker, and the migrations that vitest.config.ts hands in. */
declare namespace Cloudflare {
  interface Env extends WorkerEnv {
    TEST_MIGRATIONS: import("cloudflare:test").D1Migration[];
    /** Snapshots that the engine took, on Node: see tools/testing/real-snapshots.ts. */
    REAL_SNAPSHOTS: Fetcher;
  }
  interface GlobalProps {
    mainModule: typeof import("../index.ts");
  }
}
type WorkerEnv = import("../env.ts").Env;
