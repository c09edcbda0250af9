/** For whoever runs the deployment: which keys seal the secrets that are kept, and which are needed no longer. */
import * as z from "zod";
import { route } from "./route.ts";

const secretsAnswer = z.object({
  /** Version of the key that seals now; null: SECRETS_KEYS is not set. */
  current: z.string().nullable(),
  keys: z.array(
    z.object({
      version: z.string(),
      /** Whether SECRETS_KEYS has it. */
      is_known: z.boolean(),
      /** Secrets that only it opens. */
      secrets: z.number().int(),
    }),
  ),
  /** Secrets that no key opens: to be entered again. */
  unreadable: z.number().int(),
  /** Versions that may be taken out of SECRETS_KEYS now. */
  may_remove: z.array(z.string()),
});
export type SecretsView = z.infer<typeof secretsAnswer>;

export const secretsRoutes = {
  getSecrets: route({
    method: "GET",
    path: "/api/secrets",
    principal: "admin",
    summary: "How many secrets each version of the deployment's key has sealed, and which versions nobody needs",
    status: 200,
    answer: secretsAnswer,
  }),
  resealSecrets: route({
    method: "POST",
    path: "/api/secrets/reseal",
    principal: "admin",
    summary: "Seal with the first key of SECRETS_KEYS what another one sealed; the cron does the same, some at a time",
    body: z.strictObject({}),
    bodyOptional: true,
    status: 200,
    answer: secretsAnswer.extend({ resealed: z.number().int() }),
  }),
} as const;
