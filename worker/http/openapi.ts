/** /api/openapi.json, made from the route table: every operation, with its schemas, its errors and an example of each. */
import * as z from "zod";
import { agentStorePath } from "../../core/protocol/agent.ts";
import { routes } from "../../core/protocol/api.ts";
import { entrySchema } from "../../core/protocol/browse.ts";
import { autoHibernationPatchSchema, autoHibernationSchema } from "../../core/protocol/config.ts";
import { AppError, type ErrorCode, errorTable } from "../../core/protocol/errors.ts";
import { watchPath } from "../../core/protocol/live.ts";
import { offerSchema } from "../../core/protocol/offers.ts";
import type { Principal, Route } from "../../core/protocol/route.ts";
import { eventSchema, instanceSchema, instanceSummarySchema, pastSnapshotSchema } from "../../core/protocol/views.ts";
import { cookieName } from "../session/cookie.ts";
import { exampleOf, parameterExamples } from "./examples.ts";

type Json = Record<string, unknown>;

/** Schemas that stand in several bodies, and in several answers. The others are named after their operation. */
const sharedBodies = { AutoHibernationPatch: autoHibernationPatchSchema };
const sharedAnswers = {
  Instance: instanceSchema,
  InstanceSummary: instanceSummarySchema,
  Event: eventSchema,
  Snapshot: pastSnapshotSchema,
  FileEntry: entrySchema,
  Offer: offerSchema,
  AutoHibernation: autoHibernationSchema,
};

/** In the order in which a reader meets them; each path belongs to the last one that begins it. */
const tags = [
  { name: "Instances", path: "/api/instances", description: "Machines that sleep: rent, adopt, wake, hibernate." },
  { name: "Offers", path: "/api/offers", description: "What can be rented, and what is rented already." },
  { name: "Offers", path: "/api/machines" },
  { name: "Offers", path: "/api/estimate" },
  {
    name: "Settings",
    path: "/api/instances/:id/config",
    description: "When an instance sleeps: its own word, or a policy's for many.",
  },
  { name: "Settings", path: "/api/instances/:id/schedule" },
  { name: "Settings", path: "/api/instances/:id/preview" },
  { name: "Settings", path: "/api/policies" },
  {
    name: "Snapshots",
    path: "/api/instances/:id/snapshots",
    description: "What is stored of an instance, read without a machine.",
  },
  { name: "Services", path: "/api/instances/:id/proxy-keys", description: "Keys to what an instance serves." },
  { name: "History", path: "/api/instances/:id/events", description: "What happened, what was measured." },
  { name: "History", path: "/api/instances/:id/series" },
  { name: "Money", path: "/api/savings", description: "What was paid, avoided and saved." },
  { name: "Money", path: "/api/instances/:id/ledger" },
  { name: "Notices", path: "/api/channels", description: "Who is told what happens, and how each delivery went." },
  { name: "Notices", path: "/api/notices" },
  {
    name: "Account",
    path: "/api/me",
    description: "Who asks: teams, their members, tokens, and sessions of a browser.",
  },
  { name: "Account", path: "/api/tokens" },
  { name: "Account", path: "/api/members" },
  { name: "Account", path: "/api/audit" },
  { name: "Account", path: "/api/provider-key" },
  { name: "Account", path: "/api/session" },
  { name: "Control plane", path: "/api/health", description: "The deployment itself." },
  { name: "Control plane", path: "/api/metrics" },
  { name: "Control plane", path: "/api/openapi.json" },
  { name: "Control plane", path: "/api/users" },
  { name: "Control plane", path: "/api/secrets" },
  { name: "Agent", path: "/api/agent", description: "Machines speak here, with a token of their own." },
];

/** The same for every request: zod takes its time over it. */
let described: { paths: Json; schemas: Json } | undefined;

function describeRoutes(): { paths: Json; schemas: Json } {
  const named = nameSchemas();
  const paths: Record<string, Json> = {};
  for (const [name, route] of Object.entries(routes) as [keyof typeof routes, Route][]) {
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}");
    paths[path] ??= {};
    paths[path][route.method.toLowerCase()] = operation(name, route, named);
  }
  return { paths, schemas: named.schemas };
}

/** `serverUrl` is where this deployment is reached, without a trailing slash. */
export function openapiDocument(serverUrl: string, version: string): Json {
  described ??= describeRoutes();
  const { paths, schemas } = described;
  return {
    openapi: "3.1.0",
    info: {
      title: "Soneca",
      version,
      summary: "Rented GPUs that go to sleep by themselves and wake when wanted.",
      description: description(),
      contact: { name: "Whoever runs this deployment", url: serverUrl },
      license: { name: "All rights reserved", url: serverUrl },
    },
    servers: [{ url: serverUrl }],
    tags: tags.flatMap(({ name, description }) => (description ? [{ name, description }] : [])),
    paths,
    components: {
      schemas: { ...schemas, Error: errorSchema },
      examples: { Instance: { summary: "One that runs and is idle", value: exampleOf("getInstance").answer } },
      responses: errorResponses(),
      securitySchemes: {
        user: { type: "http", scheme: "bearer", description: "A user token, `snu_...`." },
        session: {
          type: "apiKey",
          in: "cookie",
          name: cookieName,
          description:
            "What a browser that is signed in sends by itself. Taken from pages of the dashboard's origin only.",
        },
        agent: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "The token of one machine." },
        admin: { type: "http", scheme: "bearer", description: "The admin token of the deployment." },
        metrics: {
          type: "http",
          scheme: "bearer",
          description: "The metrics token of the deployment, which opens nothing else.",
        },
      },
    },
  };
}

function description(): string {
  const errors = (Object.keys(errorTable) as ErrorCode[])
    .map((code) => `| \`${code}\` | ${errorTable[code].status} | ${errorTable[code].message} |`)
    .join("\n");
  return `Names are snake_case, times ISO 8601 in UTC, sizes bytes, money integer micro-dollars (1 US$ = 1,000,000).
Null says "not known" or "none", and never zero. Answers may gain fields; requests with fields that are not named here are refused.

What somebody may do is a matter of their role in a team: \`viewer\`, \`operator\` or \`owner\`. A token may be for less, and for some instances alone.

Every answer carries \`x-request-id\`. Every error has the same form, and callers match on its \`code\`; \`retryable\` says whether
the same request may succeed later, and \`Retry-After\` when.

Beside these operations: \`GET ${watchPath}\` is a WebSocket on which a watched instance tells that it has changed, and
\`${agentStorePath}/...\` takes and gives the parts of snapshots, for agents alone.

## Errors

| Code | Status | Meaning |
| --- | --- | --- |
${errors}`;
}

interface Named {
  schemas: Record<string, Json>;
  ref(schema: z.ZodType): Json;
}

/** All schemas of bodies and answers, each once, by reference. */
function nameSchemas(): Named {
  const names = new Map<z.ZodType, string>();
  const inputs = z.registry<{ id: string }>();
  const outputs = z.registry<{ id: string }>();
  const add = (registry: typeof inputs, schema: z.ZodType, id: string) => {
    if (names.has(schema)) return;
    names.set(schema, id);
    registry.add(schema, { id });
  };
  for (const [id, schema] of Object.entries(sharedBodies)) add(inputs, schema, id);
  for (const [id, schema] of Object.entries(sharedAnswers)) add(outputs, schema, id);
  for (const [name, route] of Object.entries(routes) as [string, Route][]) {
    if (route.body) add(inputs, route.body, `${capital(name)}Body`);
    if (!route.isFile && route.status !== 204) add(outputs, route.answer, `${capital(name)}Answer`);
  }
  return {
    schemas: { ...schemasOf(inputs, "input"), ...schemasOf(outputs, "output") },
    ref(schema) {
      const name = names.get(schema);
      if (!name) throw new Error("a schema of no row of the table");
      return { $ref: refTo(name) };
    },
  };
}

const refTo = (name: string) => `#/components/schemas/${name}`;
const capital = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);

function schemasOf(registry: z.core.$ZodRegistry<{ id: string }>, io: "input" | "output"): Record<string, Json> {
  const { schemas } = z.toJSONSchema(registry, { ...options(io), uri: refTo });
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, bare(schema as Json)]));
}

function options(io: "input" | "output") {
  return {
    io,
    unrepresentable: "any",
    override({ jsonSchema }: { jsonSchema: Json }) {
      // The format says it.
      if (jsonSchema.format === "date-time") delete jsonSchema.pattern;
      // Answers may gain fields.
      if (io === "output" && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  } as const;
}

function bare({ $schema: _schema, $id: _id, id: _name, ...rest }: Json): Json {
  return rest;
}

function operation(name: keyof typeof routes, route: Route, named: Named): Json {
  const example = exampleOf(name);
  return {
    operationId: name,
    tags: [tagOf(route.path)],
    summary: route.summary,
    description: `${route.summary}. ${whoMay(route)}`,
    security: securityOf(route.principal),
    parameters: [...pathParameters(route.path), ...queryParameters(route)],
    ...(route.body
      ? {
          requestBody: {
            required: !route.bodyOptional,
            content: {
              "application/json": {
                schema: named.ref(route.body),
                ...(example.body === undefined ? {} : { example: example.body }),
              },
            },
          },
        }
      : {}),
    responses: {
      [route.status]: success(route, named, example.answer),
      ...Object.fromEntries(
        errorsOf(route).map((error) => [statusOf(error), { $ref: `#/components/responses/${error}` }]),
      ),
      "4XX": { $ref: "#/components/responses/Error" },
      "5XX": { $ref: "#/components/responses/Error" },
    },
  };
}

function whoMay({ principal, role }: Route): string {
  if (principal !== "user") return words[principal];
  return `For the team that the token or the session is for, from the role \`${role}\` on; what is another's is not found.`;
}

const words: Record<Exclude<Principal, "user">, string> = {
  public: "Anybody may ask.",
  admin: "For whoever holds the admin token.",
  metrics: "For whoever holds the metrics token of the deployment, or its admin token.",
  agent: "For the agent of the instance's present machine.",
};

function securityOf(principal: Principal): Json[] {
  if (principal === "public") return [];
  if (principal === "user") return [{ user: [] }, { session: [] }];
  if (principal === "metrics") return [{ metrics: [] }, { admin: [] }];
  return [{ [principal]: [] }];
}

function tagOf(path: string): string {
  return tags.findLast((tag) => path === tag.path || path.startsWith(`${tag.path}/`))?.name ?? "Control plane";
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/:(\w+)/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    ...(parameterExamples[name] ?? { schema: { type: "string" } }),
  }));
}

function queryParameters(route: Route): Json[] {
  if (!route.query) return [];
  const query = z.toJSONSchema(route.query, options("input")) as Json;
  const required = (query.required ?? []) as string[];
  return Object.entries((query.properties ?? {}) as Record<string, unknown>).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
}

function success(route: Route, named: Named, example: unknown): Json {
  if (route.status === 204) return { description: "Done; nothing is said." };
  if (route.isFile) {
    const content = { "application/octet-stream": { schema: { type: "string", format: "binary" } } };
    const text = route.media && { [route.media]: { schema: { type: "string" } } };
    return { description: text ? "Text, whole." : "The file, whole.", content: text ?? content };
  }
  const schema = named.ref(route.answer);
  if (schema.$ref === refTo("Instance")) {
    const examples = { idle: { $ref: "#/components/examples/Instance" } };
    return { description: "The instance as it is now.", content: { "application/json": { schema, examples } } };
  }
  return {
    description: "Done.",
    content: { "application/json": { schema, ...(example === undefined ? {} : { example }) } },
  };
}

/** Of each, the code that is met most. */
const errorKinds = {
  BadRequest: "invalid_input",
  Unauthenticated: "unauthenticated",
  Forbidden: "forbidden",
  NotFound: "instance_not_found",
  Conflict: "action_not_allowed",
} as const satisfies Record<string, ErrorCode>;
type ErrorKind = keyof typeof errorKinds;

const statusOf = (kind: ErrorKind) => errorTable[errorKinds[kind]].status;

function errorsOf(route: Route): ErrorKind[] {
  const kinds: ErrorKind[] = [];
  if (route.body || route.query) kinds.push("BadRequest");
  if (route.principal !== "public") kinds.push("Unauthenticated", "Forbidden");
  if (/:\w+/.test(route.path)) kinds.push("NotFound");
  if (route.status === 202) kinds.push("Conflict");
  return kinds;
}

function errorResponses(): Json {
  const response = (description: string, code: ErrorCode) => ({
    description,
    content: {
      "application/json": {
        schema: { $ref: refTo("Error") },
        example: new AppError(code).toBody("1b4e28ba-2fa1-4d2f-883f-0016d3cca427"),
      },
    },
  });
  return {
    BadRequest: response("The request does not fit: `issues` names the fields.", errorKinds.BadRequest),
    Unauthenticated: response("No token, or none that holds.", errorKinds.Unauthenticated),
    Forbidden: response("A token of another kind, or of too low a role.", errorKinds.Forbidden),
    NotFound: response("There is none, or it is another team's.", errorKinds.NotFound),
    Conflict: response("Not in its present state.", errorKinds.Conflict),
    Error: response("Any other error.", "internal"),
  };
}

const errorSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["code", "message", "hint", "retryable"],
      properties: {
        code: { type: "string", description: "One of the table in this document's description." },
        message: { type: "string" },
        hint: { type: "string", description: "What to do about it." },
        retryable: { type: "boolean", description: "Whether the same request may succeed later." },
        request_id: { type: "string" },
        issues: {
          type: "array",
          items: {
            type: "object",
            required: ["path", "message"],
            properties: { path: { type: "string" }, message: { type: "string" } },
          },
        },
        context: { type: "object" },
      },
    },
  },
};
