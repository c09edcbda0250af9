/** The adapter to vast.ai against the stand-in, both real, over HTTP. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FaultOrder } from "../local-cloud/vast/fault-rules.ts";
import { startVastStandIn } from "../local-cloud/vast/server.ts";
import { type ProviderFault, providerConformance } from "../worker/providers/conformance.ts";
import { createVastProvider } from "../worker/providers/vast.ts";

const FAULTS: Record<ProviderFault, Omit<FaultOrder, "times">> = {
  key_revoked: { name: "auth_error" },
  rate_limited: { name: "rate_limited", on: "list" },
  offer_taken: { name: "offer_taken" },
  no_credit: { name: "insufficient_credit" },
  create_lost: { name: "create_timeout_but_created" },
  create_leaves_stray: { name: "create_error_with_contract" },
  list_broken: { name: "list_fails" },
  list_short: { name: "list_short" },
  destroy_broken: { name: "destroy_fails" },
  start_queued: { name: "start_queued" },
  boot_fails_by_host: { name: "boot_gpu_error" },
  boot_fails_by_image: { name: "boot_image_error" },
};

providerConformance("the vast.ai adapter with the stand-in", async () => {
  const stateDir = mkdtempSync(join(tmpdir(), "soneca-conformance-"));
  const apiKey = "conformance-key-1234";
  const standIn = await startVastStandIn({ port: 0, stateDir, apiKey, bootMs: 200 });
  const options = { baseUrl: standIn.url, sleep: async () => {} };
  return {
    provider: createVastProvider({ ...options, apiKey }),
    withWrongKey: createVastProvider({ ...options, apiKey: "not-the-key-at-all" }),
    query: {
      gpuType: null,
      gpuCount: 1,
      region: null,
      diskGb: 30,
      maxMicroUsdPerHour: null,
      avoidMachineIds: [],
      minGpuRamMb: null,
    },
    image: "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
    onstart: "# soneca-onstart\necho started\n",
    bootTimeoutMs: 10_000,
    manyMachines: 27,
    fault: async (name, times) => {
      const armed = standIn.faults.arm({ ...FAULTS[name], times });
      if (!armed.ok) throw new Error(armed.message);
    },
    clearFaults: async () => standIn.faults.clear(),
    close: async () => {
      await standIn.close();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
});
