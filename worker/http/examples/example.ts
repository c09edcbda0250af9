/** What is shown of an operation: one body that it takes and one answer that it gives, typed by the contract. */
import type * as z from "zod";
import type { AnswerOf, RouteName, routes } from "../../../core/protocol/api.ts";

type BodyInput<N extends RouteName> = (typeof routes)[N] extends { body: infer B extends z.ZodType }
  ? z.input<B>
  : never;

interface Example<N extends RouteName> {
  body?: BodyInput<N>;
  answer?: AnswerOf<N>;
}

export type Examples = { [N in RouteName]?: Example<N> };
