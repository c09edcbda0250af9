/** What a deployment says of the platform below it, for `npm run smoke`: everything here is done on keys of its own and taken away again. */
import * as z from "zod";
import { route } from "./route.ts";

export const selfTestParts = ["store", "database", "alarm", "cpu"] as const;
export type SelfTestPart = (typeof selfTestParts)[number];

const selfTestBody = z.strictObject({ part: z.enum(selfTestParts) });

export const selfTestAnswer = z.object({
  part: z.enum(selfTestParts),
  /** One a promise of the platform that the product is built on. */
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })),
});
export type SelfTestAnswer = z.infer<typeof selfTestAnswer>;

export const selfTestRoutes = {
  selfTest: route({
    method: "POST",
    path: "/api/self-test",
    principal: "admin",
    summary: "Whether store, database, alarms or CPU time of this deployment are as they must be",
    body: selfTestBody,
    status: 200,
    answer: selfTestAnswer,
  }),
} as const;

/** Outside the table, for the admin token as well: a body that is stored and forgotten, a slow stream, a WebSocket that repeats what it hears. */
export const selfTestPaths = {
  body: "/api/self-test/body",
  stream: "/api/self-test/stream",
  socket: "/api/self-test/socket",
} as const;

/** Of the stream: so many events, so far apart. */
export const selfTestEvents = { count: 4, everyMs: 400 } as const;
export const maxSelfTestBytes = 64 * 1024 * 1024;
