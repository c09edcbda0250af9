/** The bindings of the tests: those of the worker, and the migrations that vitest.config.ts hands in. */
declare namespace Cloudflare {
  interface Env extends WorkerEnv {
    TEST_MIGRATIONS: import("cloudflare:test").D1Migration[];
  }
  interface GlobalProps {
    mainModule: typeof import("../index.ts");
  }
}
type WorkerEnv = import("../env.ts").Env;
