/** What a client gives to a call: the route table's parameters, query and body, as types and as an address. */
import type { z } from "zod";
import type { BodyOf, RouteName, routes } from "./api.ts";

type ParamNames<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? Name | ParamNames<`/${Rest}`>
  : Path extends `${string}:${infer Name}`
    ? Name
    : never;

type RouteOf<N extends RouteName> = (typeof routes)[N];
type ParamsPart<N extends RouteName> = [ParamNames<RouteOf<N>["path"]>] extends [never]
  ? unknown
  : { params: Record<ParamNames<RouteOf<N>["path"]>, string> };
type QueryPart<N extends RouteName> =
  RouteOf<N> extends { query: z.ZodType<infer Q> } ? { query?: Partial<Q> } : unknown;
type BodyPart<N extends RouteName> =
  RouteOf<N> extends { bodyOptional: true }
    ? { body?: BodyOf<N> }
    : RouteOf<N> extends { body: z.ZodType }
      ? { body: BodyOf<N> }
      : unknown;

export type CallInput<N extends RouteName> = ParamsPart<N> & QueryPart<N> & BodyPart<N>;
export type CallArgs<N extends RouteName> =
  Record<never, never> extends CallInput<N> ? [CallInput<N>?] : [CallInput<N>];

export interface LooseInput {
  params?: Record<string, string>;
  query?: Record<string, unknown>;
  body?: unknown;
}

/** `pattern` with its parameters and query filled in, from its first slash on. @throws where a parameter would climb out of the path. */
export function pathOfCall(pattern: string, { params, query }: LooseInput): string {
  const path = pattern.replace(/:(\w+)/g, (_, name: string) => {
    const value = params?.[name];
    if (!value || /^\.{1,2}$/.test(value)) throw new Error(`parameter ${name} of ${pattern} cannot be "${value}"`);
    return encodeURIComponent(value);
  });
  const pairs = Object.entries(query ?? {})
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`);
  return pairs.length === 0 ? path : `${path}?${pairs.join("&")}`;
}
