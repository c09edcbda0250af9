import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findConnection } from "./connect.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "soneca-connect-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function write(path: string, value: unknown): void {
  mkdirSync(dirname(join(home, path)), { recursive: true });
  writeFileSync(join(home, path), typeof value === "string" ? value : JSON.stringify(value));
}

function find(flags: { url?: string; token?: string } = {}, env: Record<string, string> = {}, cwd = "work/deep") {
  mkdirSync(join(home, cwd), { recursive: true });
  const { url, token } = findConnection({ flags, env: { HOME: home, ...env }, cwd: join(home, cwd) });
  return { url, token };
}

const config = ".config/soneca/config.json";
const local = "work/.soneca/local.json";

test("flags, then environment, then config file, then a local cloud of a parent folder", () => {
  write(local, { url: "http://127.0.0.1:4000", apiToken: "snu_local", pid: process.pid });
  expect(find()).toEqual({ url: "http://127.0.0.1:4000", token: "snu_local" });
  write(config, { url: "https://a.test/", token: "snu_file" });
  expect(find()).toEqual({ url: "https://a.test", token: "snu_file" });
  const env = { SONECA_URL: "https://b.test", SONECA_TOKEN: "snu_env" };
  expect(find({}, env)).toEqual({ url: "https://b.test", token: "snu_env" });
  expect(find({ url: "https://c.test" }, env)).toEqual({ url: "https://c.test", token: "snu_env" });
  expect(find({ token: "snu_flag" }, env)).toEqual({ url: "https://b.test", token: "snu_flag" });
});

test("XDG_CONFIG_HOME is followed", () => {
  write("xdg/soneca/config.json", { url: "https://x.test", token: "snu_x" });
  expect(find({}, { XDG_CONFIG_HOME: join(home, "xdg") }).token).toBe("snu_x");
});

test("the token of a file goes only to the URL of that file", () => {
  write(config, { url: "https://a.test", token: "snu_file" });
  expect(() => find({ url: "https://evil.test" })).toThrow("no token for https://evil.test");
  expect(() => find({}, { SONECA_URL: "https://evil.test" })).toThrow("no token");
  expect(find({ url: "https://a.test/" })).toEqual({ url: "https://a.test", token: "snu_file" });
});

test("a local cloud gets its own token, not the deployment's", () => {
  write(local, { url: "http://127.0.0.1:4000", apiToken: "snu_local" });
  expect(find({}, { SONECA_TOKEN: "snu_env" }).token).toBe("snu_local");
});

test("a URL alone that is the local cloud's own works", () => {
  write(local, { url: "http://127.0.0.1:4000", apiToken: "snu_local" });
  expect(find({ url: "http://127.0.0.1:4000" }).token).toBe("snu_local");
});

test("nothing known: says how to get it", () => {
  expect(() => find()).toThrow("no local cloud runs here");
});

test("a local cloud that has ended is said to have", () => {
  const ended = spawnSync(process.execPath, ["-e", ""]).pid;
  write(local, { url: "http://127.0.0.1:4000", apiToken: "snu_local", pid: ended });
  expect(() => find()).toThrow("is not running");
});

test.each(["soneca.test", "ftp://a.test", "https://user:secret@a.test"])("%s is no address", (url) => {
  expect(() => find({ url, token: "t" })).toThrow("The URL of");
});

test("a broken config file is named, unless it is not needed", () => {
  write(config, "[1]");
  expect(() => find()).toThrow("is not a config file");
  expect(find({ url: "https://c.test", token: "t" }).url).toBe("https://c.test");
});
