/** A local database goes forward as one does that wrangler brings forward, and may have been brought there by it. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import { afterAll, afterEach, beforeEach, expect, it } from "vitest";
import { migrate, migrationsIn } from "./migrate.ts";

const migrations = join(import.meta.dirname, "../../migrations");
let folder: string;
let miniflare: Miniflare;
const folders: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-migrate-"));
  folders.push(folder);
  cpSync(migrations, join(folder, "migrations"), { recursive: true });
  const manifest = {
    mainModule: "a.js",
    modulesRoot: "/",
    modules: { "a.js": { type: "esm" as const, contents: "export default {};" } },
  };
  const env = { DB: { type: "d1" as const, id: "local" } };
  miniflare = new Miniflare({ workers: [{ config: { name: "a", compatibilityDate: "2026-10-01", manifest, env } }] });
});
afterEach(() => miniflare.dispose());
afterAll(() => {
  for (const one of folders) rmSync(one, { recursive: true });
});

const taken = async () => {
  const database = await miniflare.getD1Database("DB");
  const { results } = await database.prepare("SELECT name FROM d1_migrations ORDER BY id").all<{ name: string }>();
  return results.map(({ name }) => name);
};

it("takes each step once, in order", async () => {
  const database = await miniflare.getD1Database("DB");
  const steps = migrationsIn(join(folder, "migrations"));
  expect(steps.length).toBeGreaterThan(5);
  await migrate(database, join(folder, "migrations"));
  await migrate(database, join(folder, "migrations"));
  expect(await taken()).toEqual(steps);
  writeFileSync(join(folder, "migrations/9000_more.sql"), "CREATE TABLE more (a TEXT);");
  await migrate(database, join(folder, "migrations"));
  expect(await taken()).toEqual([...steps, "9000_more.sql"]);
  expect((await database.prepare("SELECT * FROM more").all()).results).toEqual([]);
});

it("of a step that fails nothing is taken, and the next try goes on from there", async () => {
  const database = await miniflare.getD1Database("DB");
  const steps = migrationsIn(join(folder, "migrations"));
  const broken = "CREATE TABLE more (a TEXT);\n--> statement-breakpoint\nINSERT INTO nowhere VALUES (1);";
  writeFileSync(join(folder, "migrations/9000_more.sql"), broken);
  await expect(migrate(database, join(folder, "migrations"))).rejects.toThrow("nowhere");
  expect(await taken()).toEqual(steps);
  writeFileSync(join(folder, "migrations/9000_more.sql"), "CREATE TABLE more (a TEXT);");
  await migrate(database, join(folder, "migrations"));
  expect(await taken()).toEqual([...steps, "9000_more.sql"]);
});
