/** /api/openapi.json by a public linter, and its examples by the contract itself. */
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { describe, expect, it } from "vitest";
import { type RouteName, routes } from "../../core/protocol/api.ts";
import type { Route } from "../../core/protocol/route.ts";
import { exampleOf, parameterExamples } from "./examples.ts";
import { openapiDocument } from "./openapi.ts";

const document = openapiDocument("https://soneca.test", "0.1.0");
const table = Object.entries(routes) as [RouteName, Route][];

async function problemsOf(source: unknown): Promise<string[]> {
  const config = await createConfig({ extends: ["recommended"], rules: { "no-invalid-media-type-examples": "error" } });
  const found = await lintFromString({ source: JSON.stringify(source), config, absoluteRef: "openapi.json" });
  return found.map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location[0]?.pointer}`);
}

describe("/api/openapi.json", () => {
  it("is found clean by Redocly's recommended rules, and its examples fit its schemas", async () => {
    expect(await problemsOf(document)).toEqual([]);
  });

  it("the linter sees an example that does not fit", async () => {
    const broken = structuredClone(document) as {
      components: { examples: { Instance: { value: { name: unknown } } } };
    };
    broken.components.examples.Instance.value.name = 7;
    expect((await problemsOf(broken)).join("\n")).toContain("no-invalid-media-type-examples");
  });

  it.each(table.filter(([, { body }]) => body))("%s has a body that the route takes", (name, { body }) => {
    if (name === "agentStatus") return; // its schema is the agent protocol's own
    expect(body!.safeParse(exampleOf(name).body).error).toBeUndefined();
  });

  const shown = table.filter(([, { answer, isFile, status }]) => answer && !isFile && status !== 204);
  it.each(shown)("%s has an answer that the route gives", (name, { answer }) => {
    const isInstance = answer === routes.getInstance.answer;
    if (name === "openapi") return;
    const value = isInstance ? exampleOf("getInstance").answer : exampleOf(name).answer;
    expect(value, "an example").toBeDefined();
    expect(answer.parse(value), "nothing that the schema does not know").toEqual(value);
  });

  it("every parameter of a path is explained", () => {
    const names = table.flatMap(([, { path }]) => [...path.matchAll(/:(\w+)/g)].map((match) => match[1]));
    expect(Object.keys(parameterExamples).sort()).toEqual([...new Set(names)].sort());
  });

  it("every operation stands under the name of a group that is explained", () => {
    const { tags, paths } = document as {
      tags: { name: string }[];
      paths: Record<string, Record<string, { tags: string[] }>>;
    };
    const used = Object.values(paths).flatMap((one) => Object.values(one).flatMap((operation) => operation.tags));
    expect([...new Set(used)].sort()).toEqual(tags.map((tag) => tag.name).sort());
  });
});
