/** How a browser signs in: the page hands a token over once, and from then on holds a cookie that no script can read. */
import * as z from "zod";
import { route } from "./route.ts";
import { teamSchema } from "./team.ts";
import { userIdSchema } from "./tokens.ts";
import { time } from "./views.ts";
import { whoSchema } from "./who.ts";

/** `local`: whoever sits at the machine itself; `access`: Cloudflare Access has let the browser in; `token`: by a token of one's own. */
export const sessionWays = ["local", "access", "token"] as const;
export type SessionWay = (typeof sessionWays)[number];

export const sessionAnswer = z.object({
  /** Null: nobody is signed in. */
  user: z.object({ id: z.string(), name: z.string() }).nullable(),
  team: whoSchema.team.nullable(),
  may: whoSchema.may,
  /** Teams that this browser can ask for; empty where its token says it. */
  teams: z.array(teamSchema),
  way: z.enum(sessionWays).nullable(),
  /** Null: it does not end by itself. */
  expires_at: time.nullable(),
  /** What this deployment takes, the easiest first. */
  ways: z.array(z.enum(sessionWays)),
});
export type SessionView = z.infer<typeof sessionAnswer>;

const sessionBody = z.strictObject({
  /** Kept nowhere. Without one: as the local user, from this machine alone. */
  token: z.string().trim().min(1).max(200).optional(),
});

export const sessionRoutes = {
  getSession: route({
    method: "GET",
    path: "/api/session",
    principal: "public",
    summary: "Who is signed in with this browser, and how one can sign in",
    status: 200,
    answer: sessionAnswer,
  }),
  openSession: route({
    method: "POST",
    path: "/api/session",
    principal: "public",
    summary: "Sign in: sets a cookie that only this origin sends and no script reads",
    body: sessionBody,
    bodyOptional: true,
    status: 200,
    answer: sessionAnswer,
  }),
  chooseTeam: route({
    method: "PUT",
    path: "/api/session",
    principal: "user",
    role: "viewer",
    reach: "token",
    summary: "Ask for another of your teams from now on, where Cloudflare Access says who you are",
    body: z.strictObject({ team: userIdSchema }),
    status: 200,
    answer: sessionAnswer,
  }),
  closeSession: route({
    method: "DELETE",
    path: "/api/session",
    principal: "public",
    summary: "Sign out",
    status: 204,
    answer: z.null(),
  }),
} as const;
