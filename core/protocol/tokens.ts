/** Tokens of the API: each acts for one person in one team, with no more than its maker might do. */
import * as z from "zod";
import { roles } from "./roles.ts";
import { route } from "./route.ts";
import { instanceIdSchema, time } from "./views.ts";

const days = z.number().int().min(1).max(3650);
export const nameSchema = z.string().trim().min(1).max(80);
export const userIdSchema = z.string().regex(/^u-[a-z2-7]{10}$/, "a user id such as u-w6cekeftay");
export const roleSchema = z.enum(roles);

/** The most instances that one token may name. */
export const maxTokenInstances = 100;

export const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** Whose. */
  user: z.object({ id: z.string(), name: z.string() }),
  /** The most that it may do; in a list what it may do now, which is no more than its user may. */
  role: roleSchema,
  /** Null: all of the team. */
  instances: z.array(instanceIdSchema).nullable(),
  created_at: time,
  expires_at: time.nullable(),
  /** To within ten minutes; null: never. */
  last_used_at: time.nullable(),
});

const tokenBody = z.strictObject({
  name: nameSchema,
  /** Not after the token that asks. Without: when that one ends. */
  expires_in_days: days.optional(),
  /** Without: that of whoever asks. */
  role: roleSchema.optional(),
  /** It sees and reaches these alone. */
  instances: z.array(instanceIdSchema).min(1).max(maxTokenInstances).optional(),
  /** For this member of the team; an owner alone may ask it. */
  user_id: userIdSchema.optional(),
});

export const tokenRoutes = {
  listTokens: route({
    method: "GET",
    path: "/api/tokens",
    principal: "user",
    role: "viewer",
    reach: "token",
    summary: "Your API tokens without their secrets; an owner sees those of the whole team",
    status: 200,
    answer: z.object({ tokens: z.array(tokenSchema) }),
  }),
  createToken: route({
    method: "POST",
    path: "/api/tokens",
    principal: "user",
    role: "viewer",
    reach: "token",
    summary: "Create an API token that may do no more than whoever asks; its secret is shown once",
    body: tokenBody,
    status: 201,
    answer: tokenSchema.extend({ token: z.string() }),
  }),
  revokeToken: route({
    method: "DELETE",
    path: "/api/tokens/:tokenId",
    principal: "user",
    role: "viewer",
    reach: "token",
    summary: "Revoke one of the API tokens that you see; whoever uses it is locked out at once",
    status: 204,
    answer: z.null(),
  }),
} as const;
