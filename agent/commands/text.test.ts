import { expect, test } from "vitest";
import { pathFields, printable, size, time } from "./text.ts";

test("names and numbers for people and for JSON", () => {
  expect(pathFields("\xc3\xbc")).toEqual({ path: "ü" });
  expect(pathFields("a\xff")).toEqual({ path: "a\ufffd", pathHex: "61ff" });
  // A real U+FFFD in a name is exact.
  expect(pathFields("\xef\xbf\xbd")).toEqual({ path: "\ufffd" });
  expect(printable("a\tb\u009b\u202e ü日")).toBe("a\\x09b\\x9b\\u202e ü日");
  expect([size(0), size(1023), size(1024), size(1.5 * 1024 ** 4)]).toEqual(["0 B", "1023 B", "1.0 KiB", "1.5 TiB"]);
  expect(time(1_234_567_890_123_456_789n)).toBe("2009-02-13 23:31:30");
  expect(time(10n ** 25n)).toBe("10000000000000000 s");
});
