import { expect, test } from "vitest";
import { bytesOfPath, plainOf, textOfPath } from "./browse-path.ts";

const bytes = (...codes: number[]) => String.fromCharCode(...codes);

test.each([
  ["plain/name with spaces", "plain/name with spaces"],
  ["100%", "100%25"],
  [bytes(0xc3, 0xa4), "ä"],
  [bytes(0xe6, 0x97, 0xa5), "日"],
  [bytes(0xf0, 0x9f, 0x98, 0xb4), "😴"],
  [bytes(0xff, 0x80), "%FF%80"],
  // Cut off, longer than need be, half of a pair, beyond Unicode.
  [bytes(0xe6, 0x97), "%E6%97"],
  [bytes(0xc0, 0xaf), "%C0%AF"],
  [bytes(0xe0, 0x80, 0xaf), "%E0%80%AF"],
  [bytes(0xed, 0xa0, 0x80), "%ED%A0%80"],
  [bytes(0xf4, 0x90, 0x80, 0x80), "%F4%90%80%80"],
  [`a${bytes(0xff)}/${bytes(0xc3, 0xa4)}`, "a%FF/ä"],
])("%j is %j, and back", (path, text) => {
  expect(textOfPath(path)).toBe(text);
  expect(bytesOfPath(text)).toBe(path);
});

test("every byte string comes back", () => {
  let state = 7;
  for (let round = 0; round < 2000; round++) {
    const path = Array.from({ length: 12 }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return String.fromCharCode(state >>> 24);
    }).join("");
    expect(bytesOfPath(textOfPath(path))).toBe(path);
  }
});

test.each(["%", "%4", "%zz", "a%2", "\ud800", "\udc00x"])("%j is no path", (text) => {
  expect(bytesOfPath(text)).toBeNull();
});

test.each([
  ["100%25 %25.txt", "100% %.txt"],
  ["ä 日本", "ä 日本"],
  ["%FF%25", "%FF%25"],
  ["a%2", "a%2"],
])("%j is for people %j", (text, plain) => {
  expect(plainOf(text)).toBe(plain);
});

test("what need not be escaped may be", () => {
  expect(bytesOfPath("%41%c3%a4")).toBe(bytes(0x41, 0xc3, 0xa4));
});
