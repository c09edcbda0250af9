/** `soneca:contract` for Vite: the parts of the contract that the page needs while it runs, without the schemas' library. */
import type { Plugin } from "vite";
import * as z from "zod";
import { routes } from "../core/protocol/api.ts";
import { autoHibernationSchema, defaultAutoHibernation } from "../core/protocol/config.ts";

export function contractPlugin(): Plugin {
  const id = "soneca:contract";
  return {
    name: "soneca-contract",
    resolveId: (source) => (source === id ? `\0${id}` : null),
    load: (loaded) => (loaded === `\0${id}` ? contractText() : null),
  };
}

function contractText(): string {
  // No page asks what is for agents or for whoever runs the deployment.
  const asked = Object.entries(routes).filter(([, { principal }]) => principal === "user" || principal === "public");
  const table = Object.fromEntries(asked.map(([name, { method, path }]) => [name, [method, path]]));
  const parts = { routes: table, limits: limitsOf(), defaults: defaultAutoHibernation };
  return Object.entries(parts)
    .map(([name, part]) => `export const ${name} = ${JSON.stringify(part)};`)
    .join("\n");
}

interface Schema {
  type?: string;
  minimum?: number;
  maximum?: number;
  properties?: Record<string, Schema>;
  anyOf?: Schema[];
}

export function limitsOf(): Record<string, [number, number]> {
  const found: Record<string, [number, number]> = {};
  const visit = (schema: Schema, path: string): void => {
    for (const one of schema.anyOf ?? []) visit(one, path);
    for (const [name, one] of Object.entries(schema.properties ?? {}))
      visit(one, path === "" ? name : `${path}.${name}`);
    const isNumber = schema.type === "number" || schema.type === "integer";
    if (isNumber && schema.minimum !== undefined && schema.maximum !== undefined)
      found[path] = [schema.minimum, schema.maximum];
  };
  visit(z.toJSONSchema(autoHibernationSchema, { io: "input" }) as Schema, "");
  return found;
}
