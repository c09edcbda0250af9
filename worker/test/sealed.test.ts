import { describe, expect, it } from "vitest";
import { isSealedWithCurrent, openSecret, sealSecret } from "../sealed.ts";

const key = (letter: string) => `${letter.repeat(42)}A`;
const old = { SECRETS_KEYS: `1:${key("a")}` };
const both = { SECRETS_KEYS: ` 2:${key("b")}, 1:${key("a")}` };
const unreadable = expect.objectContaining({ code: "secret_unreadable" });

describe("a secret at rest", () => {
  it("opens with its key, whatever it holds, and is never twice the same", async () => {
    for (const secret of ["", "hunter2", "ação 🔑", "x".repeat(10_000)]) {
      const [one, two] = [await sealSecret(old, "channel:1", secret), await sealSecret(old, "channel:1", secret)];
      expect(one).not.toBe(two);
      expect(secret !== "" && one.includes(secret)).toBe(false);
      expect(await openSecret(old, "channel:1", one)).toBe(secret);
    }
  });

  it("goes on to open while its key is among the others, and no longer", async () => {
    const sealed = await sealSecret(old, "channel:1", "s");
    expect(isSealedWithCurrent(old, sealed)).toBe(true);
    expect(isSealedWithCurrent(both, sealed)).toBe(false);
    const again = await sealSecret(both, "channel:1", await openSecret(both, "channel:1", sealed));
    expect(isSealedWithCurrent(both, again)).toBe(true);
    await expect(openSecret({ SECRETS_KEYS: `2:${key("b")}` }, "channel:1", sealed)).rejects.toEqual(unreadable);
    await expect(openSecret(old, "channel:1", again)).rejects.toEqual(unreadable);
  });

  it("opens for nothing else, and not when a letter of it changed", async () => {
    const sealed = await sealSecret(old, "channel:1", "s");
    await expect(openSecret(old, "channel:2", sealed)).rejects.toEqual(unreadable);
    const forged = sealed.split(".");
    forged[0] = btoa(JSON.stringify({ alg: "dir", enc: "A256GCM", kid: "1", purpose: "channel:2" })).replaceAll(
      "=",
      "",
    );
    await expect(openSecret(old, "channel:2", forged.join("."))).rejects.toEqual(unreadable);
    await expect(openSecret(old, "channel:1", "nothing")).rejects.toEqual(unreadable);
  });

  it.each([undefined, "", " , ", "1:short", `1:${key("a")},2:`, `${key("a")}`])(
    "is not sealed with keys %j",
    async (keys) => {
      await expect(sealSecret({ SECRETS_KEYS: keys! }, "x", "s")).rejects.toEqual(
        expect.objectContaining({ code: "secrets_key_missing" }),
      );
    },
  );
});
