/** Keys to the services of an instance, and to nothing else. */
import * as z from "zod";
import { route } from "./route.ts";
import { nameSchema } from "./tokens.ts";
import { time } from "./views.ts";

const proxyKeyBody = z.strictObject({
  name: nameSchema,
  expires_in_days: z.number().int().min(1).max(3650).optional(),
  /** Machines that requests with this key may start within any hour; without it as many as the instance allows. */
  wakes_per_hour: z.number().int().min(0).max(60).optional(),
});

const proxyKeySchema = z.object({
  id: z.string(),
  name: z.string(),
  created_at: time,
  expires_at: time.nullable(),
  wakes_per_hour: z.number().int().nullable(),
});

export const proxyKeyRoutes = {
  listProxyKeys: route({
    method: "GET",
    path: "/api/instances/:id/proxy-keys",
    principal: "user",
    role: "operator",
    summary: "Keys to its services, without their secrets",
    status: 200,
    answer: z.object({ keys: z.array(proxyKeySchema) }),
  }),
  createProxyKey: route({
    method: "POST",
    path: "/api/instances/:id/proxy-keys",
    principal: "user",
    role: "owner",
    summary: "Create a key to its services and to nothing else; its secret is shown once",
    body: proxyKeyBody,
    status: 201,
    answer: proxyKeySchema.extend({ key: z.string() }),
  }),
  revokeProxyKey: route({
    method: "DELETE",
    path: "/api/instances/:id/proxy-keys/:keyId",
    principal: "user",
    role: "owner",
    summary: "Revoke a key to its services; within half a minute no request passes with it",
    status: 204,
    answer: z.null(),
  }),
} as const;
