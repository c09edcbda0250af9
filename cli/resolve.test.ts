import { expect, test } from "vitest";
import type { Failure } from "./failure.ts";
import { pickInstance } from "./resolve.ts";

const list = [
  { id: "i-abcaaaaaaa", name: "train", status: "running" as const },
  { id: "i-abdaaaaaaa", name: "serve", status: "hibernated" as const },
  { id: "i-xyzaaaaaaa", name: "serve", status: "deleted" as const },
  { id: "i-mmmaaaaaaa", name: "i-abc", status: "running" as const },
];

function failureOf(text: string): Failure {
  try {
    pickInstance(list, text);
  } catch (error) {
    return error as Failure;
  }
  throw new Error("no failure");
}

test.each([
  ["train", "i-abcaaaaaaa"],
  ["i-abd", "i-abdaaaaaaa"],
  ["i-x", "i-xyzaaaaaaa"],
  ["i-abca", "i-abcaaaaaaa"],
])("%s", (text, id) => expect(pickInstance(list, text)).toBe(id));

test("an ambiguous prefix lists its candidates", () => {
  const failure = failureOf("i-ab");
  expect(failure.exitCode).toBe(2);
  expect(failure.message).toContain("i-abcaaaaaaa  train  Running");
  expect(failure.message).toContain("i-abdaaaaaaa  serve  Hibernated");
});

test("a name that two have is ambiguous, even if one is deleted", () => {
  expect(failureOf("serve").details.context).toEqual({
    candidates: [
      { id: "i-abdaaaaaaa", name: "serve" },
      { id: "i-xyzaaaaaaa", name: "serve" },
    ],
  });
});

test("a name that looks like the beginning of another's id is ambiguous", () => {
  expect(failureOf("i-abc").code).toBe("ambiguous");
});

test.each(["i-", "i", "", "nothing", "abc"])("'%s' is nobody", (text) => {
  expect(failureOf(text).exitCode).toBe(3);
});
