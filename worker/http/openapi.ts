/** /api/openapi.json, made from the route table. */
import * as z from "zod";
import { routes } from "../../core/protocol/api.ts";
import type { Route } from "../../core/protocol/route.ts";

export function openapiDocument(serverUrl: string, version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [name, route] of Object.entries(routes) as [string, Route][]) {
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}");
    paths[path] ??= {};
    paths[path][route.method.toLowerCase()] = operation(name, route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Soneca",
      version,
      description: "Rented GPUs that go to sleep by themselves and wake when wanted.",
    },
    servers: [{ url: serverUrl }],
    paths,
    components: {
      schemas: { Error: errorSchema },
      securitySchemes: {
        user: { type: "http", scheme: "bearer", description: "A user token, snu_..." },
        agent: { type: "http", scheme: "bearer", description: "The JWT of one machine" },
        admin: { type: "http", scheme: "bearer", description: "The admin token of the deployment" },
      },
    },
  };
}

function operation(name: string, route: Route): Record<string, unknown> {
  const names = [...route.path.matchAll(/:(\w+)/g)].map((match) => match[1]);
  const query = route.query ? jsonSchema(route.query, "input") : {};
  const required = (query.required ?? []) as string[];
  return {
    operationId: name,
    summary: route.summary,
    ...(route.principal === "public" ? { security: [] } : { security: [{ [route.principal]: [] }] }),
    parameters: [
      ...names.map((parameter) => ({ name: parameter, in: "path", required: true, schema: { type: "string" } })),
      ...Object.entries((query.properties ?? {}) as Record<string, unknown>).map(([parameter, schema]) => ({
        name: parameter,
        in: "query",
        required: required.includes(parameter),
        schema,
      })),
    ],
    ...(route.body
      ? {
          requestBody: {
            required: !route.bodyOptional,
            content: { "application/json": { schema: jsonSchema(route.body, "input") } },
          },
        }
      : {}),
    responses: {
      [route.status]:
        route.status === 204 ? { description: "Done" } : { description: "Done", content: contentOf(route) },
      default: {
        description: "An error",
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      },
    },
  };
}

function contentOf(route: Route): Record<string, unknown> {
  if (route.isFile) return { "application/octet-stream": { schema: { type: "string", format: "binary" } } };
  return { "application/json": { schema: jsonSchema(route.answer, "output") } };
}

const errorSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["code", "message", "hint", "retryable"],
      properties: {
        code: { type: "string" },
        message: { type: "string" },
        hint: { type: "string" },
        retryable: { type: "boolean" },
        request_id: { type: "string" },
        issues: {
          type: "array",
          items: { type: "object", properties: { path: { type: "string" }, message: { type: "string" } } },
        },
        context: { type: "object" },
      },
    },
  },
};

function jsonSchema(schema: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Record<string, unknown>;
  return rest;
}
