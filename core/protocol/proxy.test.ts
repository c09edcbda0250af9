import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { InstanceId, UserId } from "./ids.ts";
import { addressOfHost, addressOfPath, defaultProxy, fitsPath, isShown, kindOfRequest, mayCall } from "./proxy.ts";

const id = "i-k3v7q2m4xa" as InstanceId;

describe("the address of a service", () => {
  it("by path: the instance, a port where one is named, and what the service sees", () => {
    expect(addressOfPath(`/p/${id}/v1/models`)).toEqual({
      ...{ instance: id, port: null, path: "/v1/models", prefix: `/p/${id}` },
    });
    expect(addressOfPath(`/p/${id}:8888/lab`)).toMatchObject({ port: 8888, path: "/lab", prefix: `/p/${id}:8888` });
    expect(addressOfPath(`/p/${id}/`)).toMatchObject({ path: "/" });
    expect(addressOfPath(`/p/${id}`)).toMatchObject({ path: "" });
    expect(addressOfPath(`/p/${id}//a//b`)).toMatchObject({ path: "//a//b" });
  });

  it.each([
    "/",
    "/p",
    "/p/",
    "/p/i-short/",
    `/p/${id}x/`,
    `/p/${id}:0/`,
    `/p/${id}:65536/`,
    `/p/${id}:/`,
    `/api/p/${id}/`,
  ])("%s is none", (path) => expect(addressOfPath(path)).toBeNull());

  it("by host: one label in front of the zone", () => {
    expect(addressOfHost(`${id}.example.com`, "example.com", "/x")).toMatchObject({
      instance: id,
      port: null,
      prefix: "",
    });
    expect(addressOfHost(`${id}-8888.EXAMPLE.com:443`, "example.com", "/x")).toMatchObject({ port: 8888, path: "/x" });
    for (const host of [
      "example.com",
      `a.${id}.example.com`,
      `${id}.example.org`,
      `${id}-99999.example.com`,
      `t-${id}.example.com`,
    ])
      expect(addressOfHost(host, "example.com", "/")).toBeNull();
    expect(addressOfHost(`${id}.`, "", "/")).toBeNull();
  });
});

describe("patterns of paths", () => {
  it("a star is anything, slashes too; everything else is itself", () => {
    expect(fitsPath("/v1/chat/completions", ["/v1/*"])).toBe(true);
    expect(fitsPath("/v1", ["/v1/*"])).toBe(false);
    expect(fitsPath("/a.b", ["/a.b"])).toBe(true);
    expect(fitsPath("/aXb", ["/a.b"])).toBe(false);
    expect(fitsPath("/anything\nelse", ["*"])).toBe(true);
    expect(fitsPath("/x", [])).toBe(false);
  });

  it("a path without a star fits exactly itself", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string(), (a, b) => {
        const pattern = a.replaceAll("*", "");
        expect(fitsPath(pattern, [pattern])).toBe(true);
        if (b !== pattern) expect(fitsPath(b, [pattern])).toBe(false);
      }),
    );
  });

  it("fit what the regular expression with `.*` for each star fits", () => {
    const expressionOf = (pattern: string) =>
      new RegExp(`^${pattern.replaceAll(/[\\^$.+?()[\]{}|]/g, "\\$&").replaceAll("*", ".*")}$`, "s");
    const textOf = (chars: string[], maxLength: number) =>
      fc.array(fc.constantFrom(...chars), { maxLength }).map((all) => all.join(""));
    const path = textOf(["/", "a", "b", ".", "\n", "\\", "$&", "😀", "\ud83d"], 12);
    fc.assert(
      fc.property(
        path,
        textOf(["/", "a", "b", ".", "*", "*", "\n", "\\", "$&", "😀", "\ude00"], 8),
        (path, pattern) => {
          expect(fitsPath(path, [pattern])).toBe(expressionOf(pattern).test(path));
        },
      ),
      { numRuns: 5000 },
    );
    // Some that fit: pieces of a path, with stars for what lies between them.
    fc.assert(
      fc.property(fc.array(fc.tuple(path, fc.boolean()), { maxLength: 6 }), (pieces) => {
        const whole = pieces.map(([text]) => text).join("");
        const pattern = pieces.map(([text, isStar]) => (isStar ? "*" : text)).join("");
        expect(fitsPath(whole, [pattern])).toBe(true);
      }),
    );
  });

  it("are as quick with many stars as with one", () => {
    const path = `/${"a".repeat(8000)}`;
    expect(fitsPath(path, [`/${"*a".repeat(98)}*b`])).toBe(false);
    expect(fitsPath(path, [`/${"*a".repeat(98)}*`])).toBe(true);
  });
});

it("who may call: its team as far as the token reaches, a key of this instance, and anybody where it is public", () => {
  const owner = "u-aaaaaaaaaa" as UserId;
  const other = "i-bbbbbbbbbb" as InstanceId;
  const key = { kind: "key", id: "k", instance: id, wakesPerHour: null } as const;
  const somebody = (team: UserId, instances: string[] | null = null) =>
    ({ kind: "user", id: "u-cccccccccc" as UserId, team, instances }) as const;
  expect(mayCall(somebody(owner), owner, id, "key")).toBe(true);
  expect(mayCall(somebody("u-bbbbbbbbbb" as UserId), owner, id, "key")).toBe(false);
  expect(mayCall(somebody(owner, [id]), owner, id, "key")).toBe(true);
  expect(mayCall(somebody(owner, [other]), owner, id, "key")).toBe(false);
  expect(mayCall(key, owner, id, "key")).toBe(true);
  expect(mayCall({ ...key, instance: other }, owner, id, "key")).toBe(false);
  expect(mayCall({ kind: "anybody" }, owner, id, "key")).toBe(false);
  expect(mayCall({ kind: "anybody" }, owner, id, "public")).toBe(true);
});

it("health checks, icons and robots are no use, whatever may wake", () => {
  const ask = (path: string, method = "GET", isRobot = false) =>
    kindOfRequest(defaultProxy, { method, path, isRobot, isPreflight: false });
  expect(ask("/v1/chat/completions", "POST")).toEqual({ isUse: true, fits: true });
  expect(ask("/favicon.ico")).toEqual({ isUse: false, fits: true });
  expect(ask("/health").isUse).toBe(false);
  expect(ask("/healthy").isUse).toBe(true);
  expect(ask("/", "GET", true).isUse).toBe(false);
  expect(ask("/", "OPTIONS")).toEqual({ isUse: true, fits: false });
  const narrow = { ...defaultProxy, wake_paths: ["/v1/*"] };
  expect(kindOfRequest(narrow, { method: "GET", path: "/docs", isRobot: false, isPreflight: false })).toEqual({
    isUse: true,
    fits: false,
  });
});

it("shows the ports that were named", () => {
  expect([null, 8000, 8888, 22].map((port) => isShown({ ...defaultProxy, more_ports: [8888] }, port))).toEqual([
    ...[true, true, true, false],
  ]);
});
