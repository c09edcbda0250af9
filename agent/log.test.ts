import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createLogger, describeError } from "./log.ts";

describe("createLogger", () => {
  const capture = () => {
    const lines: string[] = [];
    return { lines, log: createLogger({ write: (line) => lines.push(line), now: () => 0 }) };
  };

  it("writes one JSON object per event", () => {
    const { lines, log } = capture();
    log.warn("beat_failed", { failures: 2, error: new Error("no", { cause: new Error("because") }), big: 3n });
    expect(lines).toEqual([
      '{"time":"1970-01-01T00:00:00.000Z","level":"warn","event":"beat_failed","failures":2,"error":"no: because","big":"3"}\n',
    ]);
  });

  it("cuts a text that nobody reads, and no secret to one that is not known", () => {
    const { lines, log } = capture();
    log.info("x", { long: "x".repeat(8 * 1024 * 1024), cut: `${"y ".repeat(4090)} snu_abcdefghijkl` });
    expect(lines[0]!.length).toBeLessThan(20_000);
    expect(lines[0]).toMatch(/x \[8380416 more\]/);
    expect(lines[0]).not.toContain("snu_a");
  });

  it("never writes a secret, by name, by shape or by having been told", () => {
    const { lines, log } = capture();
    const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
    log.hide("hunter2-hunter2");
    log.info("x", {
      token: "plain",
      note: `Bearer ${jwt}`,
      deep: [{ apiKey: "k", text: `a ${jwt} b hunter2-hunter2` }],
      user: "snu_abcdefghijkl",
    });
    const text = lines.join("");
    for (const secret of ["plain", jwt, "c2lnbmF0dXJl", "hunter2", '"k"', "snu_abc"])
      expect(text).not.toContain(secret);
    expect(JSON.parse(text).deep[0].text).toContain("a [redacted] b");
  });

  it("appends to a file of its own and moves a large one aside", () => {
    const folder = mkdtempSync(join(tmpdir(), "soneca-log-"));
    const file = join(folder, "agent.log");
    writeFileSync(file, "x".repeat(8 * 1024 * 1024 + 1));
    const log = createLogger({ file });
    log.info("one");
    log.info("two");
    expect(readdirSync(folder).sort()).toEqual(["agent.log", "agent.log.1"]);
    expect(readFileSync(file, "utf8").trim().split("\n")).toHaveLength(2);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    rmSync(folder, { recursive: true });
  });

  it("whoever else appends to it, as the loop that starts agents, still does after it was moved aside twice", () => {
    const folder = mkdtempSync(join(tmpdir(), "soneca-log-"));
    const file = join(folder, "agent.log");
    const loop = openSync(file, "a", 0o600);
    for (const turn of ["first", "second"]) {
      writeSync(loop, `${"x".repeat(8 * 1024 * 1024)}\n`);
      createLogger({ file }).info(turn);
    }
    writeSync(loop, "soneca: the agent ended with 1\n");
    const [line, words, end] = readFileSync(file, "utf8").split("\n");
    expect([JSON.parse(line ?? "").event, words, end]).toEqual(["second", "soneca: the agent ended with 1", ""]);
    expect(readFileSync(`${file}.1`, "utf8").slice(0, 200)).toContain('"first"');
    expect(statSync(`${file}.1`).mode & 0o777).toBe(0o600);
    closeSync(loop);
    rmSync(folder, { recursive: true });
  });

  it("is written on where it cannot be moved aside", () => {
    const folder = mkdtempSync(join(tmpdir(), "soneca-log-"));
    const file = join(folder, "agent.log");
    mkdirSync(`${file}.1`);
    writeFileSync(file, "x".repeat(8 * 1024 * 1024 + 1));
    const log = createLogger({ file });
    log.info("one");
    expect(readFileSync(file, "utf8")).toContain('"one"');
    rmSync(folder, { recursive: true });
  });

  it("describes what was thrown with its causes", () => {
    const error = Object.assign(new Error("connect failed"), { code: "ECONNREFUSED" });
    expect(describeError(new TypeError("fetch failed", { cause: error }))).toBe(
      "fetch failed: connect failed (ECONNREFUSED)",
    );
    expect(describeError("text")).toBe("text");
  });
});
