/** What a row of the route table says. */
import type * as z from "zod";
import type { Role } from "./roles.ts";

/** `metrics`: the metrics token of the deployment, or its admin token. */
export type Principal = "public" | "user" | "admin" | "metrics" | "agent";

/** Who may ask. A route for users without a least role does not compile. */
export type RouteRule =
  | { principal: Exclude<Principal, "user">; role?: never; reach?: never }
  | {
      principal: "user";
      /** The least that is needed. */
      role: Role;
      /**
       * Where the path has an `:id`, that instance. Elsewhere it is the whole team, which a token of some instances may not
       * ask; `token`: it looks itself at what the token reaches.
       */
      reach?: "token";
    };

export type Route = RouteRule & {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Hono's spelling of parameters: `/api/instances/:id`. */
  path: string;
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
  /** Changes nothing, whatever its method says. */
  isRead?: true;
  /** Each run sends or uses up something. Of status 201, where each makes something new, it need not be said. */
  isOnce?: true;
};

export const route = <const R extends Route>(one: R): R => one;

/** Whether a call whose answer was lost may be sent again. */
export function mayRepeat({ status, isOnce }: Route): boolean {
  return status !== 201 && !isOnce;
}

/** Whether the call takes away what its path names: sent again, it finds nothing. */
export function isRemoval({ method, status }: Route): boolean {
  return method === "DELETE" && status === 204;
}
