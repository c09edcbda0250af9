/** What is kept of an instance: its log, and its snapshots. */
import * as z from "zod";
import { route } from "./route.ts";
import { eventSchema, pastSnapshotSchema } from "./views.ts";

const eventsQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(200),
});

export const historyRoutes = {
  listEvents: route({
    method: "GET",
    path: "/api/instances/:id/events",
    principal: "user",
    role: "viewer",
    summary: "What happened to it, oldest first",
    query: eventsQuery,
    status: 200,
    answer: z.object({ events: z.array(eventSchema), next_after: z.number().int() }),
  }),
  listSnapshots: route({
    method: "GET",
    path: "/api/instances/:id/snapshots",
    principal: "user",
    role: "viewer",
    summary: "The newest hundred snapshots that the store holds of it, newest first, with what their proofs found",
    status: 200,
    answer: z.object({ snapshots: z.array(pastSnapshotSchema) }),
  }),
} as const;
