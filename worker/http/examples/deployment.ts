/** Examples of the routes of the deployment itself, and of the agents that report to it. */
import type { SecretsView } from "../../../core/protocol/secrets.ts";
import type { Examples } from "./example.ts";

const secrets: SecretsView = {
  current: "2",
  keys: [
    { version: "2", is_known: true, secrets: 4 },
    { version: "1", is_known: true, secrets: 0 },
  ],
  unreadable: 0,
  may_remove: ["1"],
};

export const deploymentExamples: Examples = {
  health: {
    answer: {
      ok: true,
      version: "0.1.0",
      time: "2026-11-29T17:41:20.000Z",
      cron: {
        sweep: { at: "2026-11-29T17:41:00.000Z", age_seconds: 20, is_late: false },
        provider: { at: "2026-11-29T17:40:00.000Z", age_seconds: 80, is_late: false },
      },
      clock: { late_instances: 0, next_due_at: "2026-11-29T17:42:30.000Z", largest_skew_seconds: -0.08 },
    },
  },
  selfTest: {
    body: { part: "alarm" },
    answer: { part: "alarm", checks: [{ name: "an alarm of a Durable Object fires", ok: true, detail: "3 ms late" }] },
  },
  createUser: { body: { name: "Ana" }, answer: { user: { id: "u-w6cekeftay", name: "New" }, token: "snu_EXAMPLE" } },
  getSecrets: { answer: secrets },
  resealSecrets: { body: {}, answer: { ...secrets, resealed: 4 } },
  agentStatus: {
    answer: {
      ok: true,
      status: "running",
      nextBeatMs: 10000,
      gpuUsageThreshold: 5,
      commands: [],
      intervalsKept: 24,
      resultsKept: [],
    },
  },
};
