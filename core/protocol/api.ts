/**
 * The route table: the only contract between the worker and whoever calls it. The worker mounts it, the clients are
 * typed by it, /api/openapi.json is made from it. Names in JSON are snake_case, times ISO 8601 UTC, money integer
 * micro-dollars (1 US$ = 1,000,000), sizes bytes.
 */
import type * as z from "zod";
import { agentRoutes } from "./agent.ts";
import { auditRoutes } from "./audit.ts";
import { browseRoutes } from "./browse.ts";
import { deploymentRoutes } from "./deployment.ts";
import { historyRoutes } from "./history.ts";
import { instanceRoutes } from "./instances.ts";
import { liveRoutes } from "./live.ts";
import { moneyRoutes } from "./money.ts";
import { noticeRoutes } from "./notices.ts";
import { offerRoutes } from "./offers.ts";
import { providerKeyRoutes } from "./provider-key.ts";
import { proxyKeyRoutes } from "./proxy-key.ts";
import { secretsRoutes } from "./secrets.ts";
import { selfTestRoutes } from "./self-test.ts";
import { sessionRoutes } from "./session.ts";
import { policyRoutes, settingRoutes } from "./settings.ts";
import { teamRoutes } from "./team.ts";
import { tokenRoutes } from "./tokens.ts";
import { whoRoutes } from "./who.ts";

export const routes = {
  ...deploymentRoutes,
  ...whoRoutes,
  ...tokenRoutes,
  ...teamRoutes,
  ...auditRoutes,
  ...providerKeyRoutes,
  ...secretsRoutes,
  ...instanceRoutes,
  ...settingRoutes,
  ...proxyKeyRoutes,
  ...policyRoutes,
  ...historyRoutes,
  ...browseRoutes,
  ...moneyRoutes,
  ...sessionRoutes,
  ...selfTestRoutes,
  ...liveRoutes,
  ...offerRoutes,
  ...noticeRoutes,
  ...agentRoutes,
} as const;

export type RouteName = keyof typeof routes;
export type BodyOf<N extends RouteName> = (typeof routes)[N] extends { body: z.ZodType<infer B> } ? B : undefined;
export type QueryOf<N extends RouteName> = (typeof routes)[N] extends { query: z.ZodType<infer Q> } ? Q : undefined;
export type AnswerOf<N extends RouteName> = (typeof routes)[N] extends { answer: z.ZodType<infer A> } ? A : never;
