/** What a row of the route table says. */
import type * as z from "zod";

/** `metrics`: the metrics token of the deployment, or its admin token. */
export type Principal = "public" | "user" | "admin" | "metrics" | "agent";

export interface Route {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Hono's spelling of parameters: `/api/instances/:id`. */
  path: string;
  principal: Principal;
  summary: string;
  query?: z.ZodType;
  body?: z.ZodType;
  /** Whether an empty body stands for `{}`. */
  bodyOptional?: boolean;
  status: 200 | 201 | 202 | 204;
  answer: z.ZodType;
  /** The answer is a file's bytes, not JSON. */
  isFile?: true;
  /** Of such an answer, where it is not any bytes at all. */
  media?: "text/plain";
}

export const route = <const R extends Route>(one: R): R => one;
