/** Who changed what: one line for each request of a person that changes something, whatever came of it. */
import * as z from "zod";
import { route } from "./route.ts";
import { instanceIdSchema, time } from "./views.ts";

/** For so long a line is kept. */
export const auditDays = 400;
export const origins = ["dashboard", "cli", "api"] as const;
export type Origin = (typeof origins)[number];

const lineSchema = z.object({
  id: z.number().int(),
  at: time,
  /** `user:<id>`, or `admin` for whoever holds the admin token. */
  actor: z.string(),
  /** As the team calls them; null: no longer known. */
  name: z.string().nullable(),
  /** Null: it came without a token. */
  token_id: z.string().nullable(),
  /** What they might do then. */
  role: z.string().nullable(),
  /** The operation of this document. */
  operation: z.string(),
  instance_id: instanceIdSchema.nullable(),
  /** Of what else it was: a token, a member, a key. */
  target: z.string().nullable(),
  status: z.number().int(),
  /** Why not; null: it was done. */
  code: z.string().nullable(),
  request_id: z.string(),
  origin: z.enum(origins),
});
export type AuditLine = z.infer<typeof lineSchema>;

const auditQuery = z.strictObject({
  /** Lines older than this one: `next_before` of the answer before. */
  before: z.coerce.number().int().min(1).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  instance: instanceIdSchema.optional(),
  /** Only what was refused, or only what was done. */
  outcome: z.enum(["done", "refused"]).optional(),
});

export const auditRoutes = {
  listAudit: route({
    method: "GET",
    path: "/api/audit",
    principal: "user",
    role: "owner",
    summary: "Who changed what in your team, newest first",
    query: auditQuery,
    status: 200,
    answer: z.object({
      lines: z.array(lineSchema),
      /** Null: there are no older ones. */
      next_before: z.number().int().nullable(),
    }),
  }),
} as const;
