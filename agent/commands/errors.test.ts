/** What is wrong on a command line ends with its own exit code, in words, and with --json with a summary. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { parseLines, type RunOptions, runCommand } from "../testing/run-command.ts";
import { runSnapshotCommand } from "./main.ts";

const before = process.cwd();
let dir: string;
const at = (name: string) => join(dir, name);
const run = (args: string[], options: RunOptions = {}) =>
  runCommand(args, { cwd: dir, ...options, env: { XDG_STATE_HOME: at("state"), ...options.env } });

/** In this process, which is much faster than one for each row; what it prints as JSON. */
async function runHere(
  args: string[],
  env: Record<string, string>,
): Promise<{ exit: number; last: Summary; out: string }> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  let out = "";
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += text;
    return true;
  });
  try {
    const exit = await runSnapshotCommand([...args, "--json"]);
    return { exit, last: parseLines(out).at(-1) as Summary, out };
  } finally {
    write.mockRestore();
    vi.unstubAllEnvs();
  }
}

interface Summary {
  type: string;
  ok: boolean;
  code: string;
  exit: number;
  message: string;
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "soneca-errors-"));
  mkdirSync(at("work"));
  writeFileSync(at("work/one"), "1");
  writeFileSync(at("file"), "no folder");
  mkdirSync(at("empty-store"));
  process.chdir(dir);
  vi.stubEnv("XDG_STATE_HOME", at("state"));
  expect((await runHere(["snapshot", "work", "--store", "store"], {})).last).toMatchObject({ snapshotId: "work@1" });
});
afterAll(() => {
  process.chdir(before);
  rmSync(dir, { recursive: true, force: true });
});

const aws = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" };
const unreachable = { ...aws, AWS_ENDPOINT_URL: "http://127.0.0.1:9" };
const rows: [name: string, args: string[], exit: number, code: string, words: RegExp, env?: Record<string, string>][] =
  [
    ["an unknown option", ["list", "--store", "store", "--sotre", "x"], 2, "usage", /--sotre/],
    ["an option of another command", ["snapshot", "work", "--store", "store", "--delete"], 2, "usage", /no --delete/],
    ["an option without its value", ["list", "--store"], 2, "usage", /--store/],
    ["an empty value", ["list", "--store="], 2, "usage", /--store wants a value/],
    ["no store", ["list"], 2, "usage", /--store is missing/],
    ["no folder", ["snapshot", "--store", "store"], 2, "usage", /wants an argument/],
    ["too many arguments", ["ls", "work", "a", "b", "--store", "store"], 2, "usage", /what to do with b/],
    ["a folder that is not there", ["snapshot", "nowhere", "--store", "store"], 2, "not_a_folder", /nowhere/],
    ["a file for a folder", ["snapshot", "file", "--store", "store"], 2, "not_a_folder", /file/],
    ["a store that is a file", ["snapshot", "work", "--store", "file"], 2, "store_invalid", /not a folder/],
    ["a store below a file", ["list", "--store", "file/x"], 2, "store_invalid", /not a folder/],
    ["a store that is not there", ["list", "--store", "no-store"], 8, "store_not_found", /no-store/],
    ["a store of no known kind", ["list", "--store", "gs://bucket"], 2, "usage", /no store/],
    ["an s3 URL without a bucket", ["list", "--store", "s3://"], 2, "settings_invalid", /bucket/, aws],
    ["s3 without keys", ["list", "--store", "s3://bucket"], 2, "settings_invalid", /AWS_ACCESS_KEY_ID/],
    ["http without a token", ["list", "--store", "http://127.0.0.1:9", "--id", "x"], 2, "usage", /SONECA_TOKEN/],
    ["http that is no address", ["list", "--store", "http:///", "--id", "x"], 2, "usage", /address/],
    [
      "a state folder in the workspace",
      ["snapshot", "work", "--store", "store", "--state", "work/state"],
      2,
      "state_inside_root",
      /outside/,
    ],
    ["an id that is none", ["snapshot", "work", "--store", "store", "--id", "a/b"], 2, "id_invalid", /ID/],
    ["an id with a number", ["snapshot", "work", "--store", "store", "--id", "work@1"], 2, "id_invalid", /ID/],
    ["an epoch that is none", ["snapshot", "work", "--store", "store", "--epoch", "x"], 2, "usage", /--epoch/],
    ["a sequence number 0", ["verify", "work@0", "--store", "store"], 2, "usage", /number from 1/],
    ["a sequence number of letters", ["verify", "work@x", "--store", "store"], 2, "usage", /number from 1/],
    ["no sequence number after @", ["verify", "work@", "--store", "store"], 2, "usage", /number from 1/],
    [
      "a snapshot that is not there",
      ["verify", "work@7", "--store", "store"],
      8,
      "snapshot_not_found",
      /newest of work is work@1/,
    ],
    [
      "an instance that is not there",
      ["restore", "other", "back", "--store", "store"],
      8,
      "snapshot_not_found",
      /other/,
    ],
    ["an empty store", ["restore", "work", "back", "--store", "empty-store"], 8, "snapshot_not_found", /work/],
    ["a path that is not there", ["ls", "work", "no/such", "--store", "store"], 8, "path_not_found", /no\/such/],
    ["a path that leads out", ["ls", "work", "../x", "--store", "store"], 2, "usage", /\.\./],
    ["gc that keeps none", ["gc", "work", "--store", "store", "--keep", "0"], 2, "usage", /--keep/],
    ["gc with an odd age", ["gc", "work", "--store", "store", "--older-than", "-1"], 2, "usage", /--older-than/],
    [
      "gc of an ID that the store does not have",
      ["gc", "nobody", "--store", "store"],
      8,
      "snapshot_not_found",
      /nobody/,
    ],
    ["gc without an ID", ["gc", "--store", "store"], 2, "usage", /argument/],
    ["diff with something that is neither", ["diff", "work", "a b", "--store", "store"], 2, "id_invalid", /ID/],
    [
      "diff with a folder that is not there",
      ["diff", "work", "./nowhere", "--store", "store"],
      2,
      "not_a_folder",
      /nowhere/,
    ],
    [
      "a mirror that is the store",
      ["restore", "work", "back", "--store", "store", "--mirror", "./store"],
      2,
      "usage",
      /store itself/,
    ],
    [
      "a mirror behind http",
      ["restore", "work", "back", "--store", "store", "--mirror", "http://x"],
      2,
      "usage",
      /--mirror/,
    ],
    [
      "an s3 server that is not there",
      ["list", "--store", "s3://bucket", "--id", "x"],
      4,
      "store_unreachable",
      /did not answer/,
      unreachable,
    ],
  ];
test.each(rows)("%s", async (_, args, exit, code, words, env = {}) => {
  const ran = await runHere(args, { XDG_STATE_HOME: at("state"), SONECA_TOKEN: "", AWS_ACCESS_KEY_ID: "", ...env });
  expect({ type: ran.last.type, ok: ran.last.ok, code: ran.last.code, exits: [ran.last.exit, ran.exit] }).toEqual({
    type: "summary",
    ok: false,
    code,
    exits: [exit, exit],
  });
  expect(ran.last.message).toMatch(words);
});

test("a process of its own ends with the code, and prints the same", async () => {
  const ran = await run(["list", "--store", "no-store", "--json"]);
  expect([ran.code, ran.lines, ran.stderr]).toEqual([
    8,
    [expect.objectContaining({ code: "store_not_found", exit: 8 })],
    "",
  ]);
});

test("without --json the words are on stderr, and nothing on stdout", async () => {
  const ran = await run(["ls", "work", "no/such", "--store", "store"]);
  expect([ran.code, ran.stdout.toString(), ran.stderr]).toEqual([
    8,
    "",
    "soneca-agent: There is no no/such in work@1.\n",
  ]);
});

test("help is no error", async () => {
  const ran = await run(["gc", "--help"]);
  expect([ran.code, ran.stdout.toString().split("\n")[0]]).toEqual([
    0,
    "soneca-agent gc ID --store STORE [--keep N] [--older-than HOURS] [--dry-run] [--json]",
  ]);
});
