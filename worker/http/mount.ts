/** Binds a row of the route table to its handler: principal, parameters, query and body are checked before it runs. */
import type { z } from "zod";
import type { AnswerOf, BodyOf, QueryOf, RouteName } from "../../core/protocol/api.ts";
import { routes } from "../../core/protocol/api.ts";
import { AppError } from "../../core/protocol/errors.ts";
import type { Route } from "../../core/protocol/route.ts";
import { offeredTo } from "../may.ts";
import { audit } from "./audit.ts";
import { authenticate } from "./auth.ts";
import type { App, AppContext } from "./context.ts";

const maxJsonBytes = 2 * 1024 * 1024;

export interface Call<N extends RouteName> {
  body: BodyOf<N>;
  query: QueryOf<N>;
}

export function mount<N extends RouteName>(
  app: App,
  name: N,
  handle: (c: AppContext, call: Call<N>) => Promise<AnswerOf<N> | Response>,
): void {
  const route: Route = routes[name];
  const answerTo = async (c: AppContext): Promise<AnswerOf<N> | Response> => {
    await authenticate(c, route);
    const query = route.query ? check(route.query, c.req.query()) : undefined;
    const body = route.body ? check(route.body, await readJson(c, route.bodyOptional ?? false)) : undefined;
    return handle(c, { body, query } as Call<N>);
  };
  app.on(route.method, route.path, async (c) => {
    let answer: AnswerOf<N> | Response;
    try {
      answer = await answerTo(c);
    } catch (error) {
      audit(c, name, route, { error });
      throw error;
    }
    audit(c, name, route, { status: route.status, answer });
    if (answer instanceof Response) return answer;
    if (route.status === 204) return c.body(null, 204);
    return c.json(offeredTo(c.get("asker")?.role ?? "owner", answer) as object, route.status);
  });
}

/** Errors: bad_json, payload_too_large. */
export async function readJson(c: AppContext, isOptional: boolean): Promise<unknown> {
  const text = await readText(c);
  if (text.trim() === "") {
    if (isOptional) return {};
    throw new AppError("bad_json", { detail: "the body is empty" });
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new AppError("bad_json");
  }
}

/** Never holds more than the limit, whatever the header says or leaves out. */
async function readText(c: AppContext): Promise<string> {
  const tooLarge = () => new AppError("payload_too_large", { limit_bytes: maxJsonBytes });
  if (Number(c.req.header("content-length") ?? "0") > maxJsonBytes) throw tooLarge();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of c.req.raw.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxJsonBytes) throw tooLarge();
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Errors: invalid_input with one issue per field. */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues
    .slice(0, 20)
    .map((issue) => ({ path: issue.path.join("."), message: issue.message }));
  throw new AppError("invalid_input", { issues });
}
