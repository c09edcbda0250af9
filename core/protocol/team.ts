/** A team: whose instances they are, and who may do what with them. It has the id of the user that it began with. */
import * as z from "zod";
import { route } from "./route.ts";
import { nameSchema, roleSchema, userIdSchema } from "./tokens.ts";
import { time } from "./views.ts";

export const teamSchema = z.object({ id: userIdSchema, name: z.string(), role: roleSchema });
export type TeamView = z.infer<typeof teamSchema>;

const memberSchema = z.object({
  user_id: userIdSchema,
  /** As the team calls them. */
  name: z.string(),
  /** By which Cloudflare Access knows them. */
  email: z.string().nullable(),
  role: roleSchema,
  /** Whom the team began with: always an owner. */
  is_founder: z.boolean(),
  since: time,
});
export type MemberView = z.infer<typeof memberSchema>;

const email = z.string().trim().toLowerCase().max(254).pipe(z.email());
const memberBody = z.strictObject({
  name: nameSchema,
  role: roleSchema,
  /** They sign in with Cloudflare Access. Without it they get a token. */
  email: email.optional(),
});

export const teamRoutes = {
  listMembers: route({
    method: "GET",
    path: "/api/members",
    principal: "user",
    role: "viewer",
    summary: "Who is in your team, and what each may do",
    status: 200,
    answer: z.object({ members: z.array(memberSchema) }),
  }),
  addMember: route({
    method: "POST",
    path: "/api/members",
    principal: "user",
    role: "owner",
    summary: "Take somebody into the team: by e-mail for Cloudflare Access, or with a first token, which is shown once",
    body: memberBody,
    status: 201,
    answer: memberSchema.extend({ token: z.string().nullable() }),
  }),
  changeMember: route({
    method: "PUT",
    path: "/api/members/:memberId",
    principal: "user",
    role: "owner",
    summary: "Give a member another role; their tokens may do no more from then on",
    body: z.strictObject({ role: roleSchema }),
    status: 200,
    answer: memberSchema,
  }),
  removeMember: route({
    method: "DELETE",
    path: "/api/members/:memberId",
    principal: "user",
    role: "owner",
    summary: "Take a member out of the team, with all of their tokens for it",
    status: 204,
    answer: z.null(),
  }),
} as const;
