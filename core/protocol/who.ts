/** Who asks, and what they may do. */
import * as z from "zod";
import { route } from "./route.ts";
import { teamSchema } from "./team.ts";
import { instanceIdSchema } from "./views.ts";

export const whoSchema = {
  /** The team that is asked for, and the role in it, as far as the token reaches. */
  team: teamSchema,
  /** Null: all of the team. */
  instances: z.array(instanceIdSchema).nullable(),
  /** Operations of this document that may be asked. */
  may: z.array(z.string()),
};

export const whoRoutes = {
  me: route({
    method: "GET",
    path: "/api/me",
    principal: "user",
    role: "viewer",
    reach: "token",
    summary: "Who this token belongs to, and what it may do",
    status: 200,
    answer: z.object({ id: z.string(), name: z.string(), ...whoSchema }),
  }),
} as const;
