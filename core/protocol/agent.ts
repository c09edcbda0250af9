/** For agents alone: their report, and where the parts of snapshots are taken and given. */
import * as z from "zod";
import { route } from "./route.ts";

/** Parts and manifests, for agents alone; binary, so outside the table's JSON contract. */
export const agentStorePath = "/api/agent/store";
/** Largest part that is taken; a request body over 100 MB never reaches a worker on most zones. */
export const maxPartBytes = 64 * 1024 * 1024 + 1024 * 1024;

export const agentRoutes = {
  agentStatus: route({
    method: "POST",
    path: "/api/agent/status",
    principal: "agent",
    summary: "The agent's report; the answer says what it should be doing",
    // The body is checked by wire.ts: its schema is the agent protocol's own.
    body: z.record(z.string(), z.unknown()),
    status: 200,
    answer: z.record(z.string(), z.unknown()),
  }),
} as const;
