/** A team's own key to the provider: its machines are rented and paid with it, and not with the deployment's. */
import * as z from "zod";
import { route } from "./route.ts";
import { time } from "./views.ts";

const keySchema = z.object({
  /** Its last letters. */
  hint: z.string(),
  created_at: time,
  /** When the provider last took it, to within ten minutes; null: never since it was set. */
  last_used_at: time.nullable(),
  /** The provider refuses it: nothing can be rented or ended with it until another one is set. */
  trouble: z.object({ message: z.string(), at: time }).nullable(),
});
export type ProviderKeyView = z.infer<typeof keySchema>;

const keyAnswer = z.object({
  /** Null: the deployment's own key is used. */
  key: keySchema.nullable(),
});

export const providerKeyRoutes = {
  getProviderKey: route({
    method: "GET",
    path: "/api/provider-key",
    principal: "user",
    role: "owner",
    summary: "Whether your team has a key of its own to the provider, and whether the provider takes it",
    status: 200,
    answer: keyAnswer,
  }),
  setProviderKey: route({
    method: "PUT",
    path: "/api/provider-key",
    principal: "user",
    role: "owner",
    summary: "Rent with this key from now on: it is tried, then kept sealed, and never shown again",
    body: z.strictObject({
      key: z
        .string()
        .trim()
        .min(8)
        .max(500)
        .regex(/^[\x21-\x7e]+$/, "a key without spaces"),
    }),
    status: 200,
    answer: keyAnswer,
  }),
  testProviderKey: route({
    method: "POST",
    path: "/api/provider-key/test",
    principal: "user",
    role: "owner",
    summary: "Ask the provider whether it takes your key now, and how many machines it shows; changes nothing there",
    body: z.strictObject({}),
    bodyOptional: true,
    isRead: true,
    status: 200,
    answer: z.object({ machines: z.number().int(), managed: z.number().int() }),
  }),
  removeProviderKey: route({
    method: "DELETE",
    path: "/api/provider-key",
    principal: "user",
    role: "owner",
    summary: "Rent with the deployment's key again; refused while machines are rented with yours",
    status: 204,
    answer: z.null(),
  }),
} as const;
