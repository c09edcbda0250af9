/** What most tests of the worker begin with: a vast.ai of their own, a user, a clock that they move, and no chance. */
import { vi } from "vitest";
import { newUser, startClock, type TestUser } from "./helpers.ts";
import { FakeVast } from "./vast.ts";

export async function setScene(): Promise<{ vast: FakeVast; user: TestUser }> {
  startClock();
  const vast = new FakeVast();
  vast.install();
  vi.spyOn(Math, "random").mockReturnValue(0);
  return { vast, user: await newUser() };
}

export function endScene(): void {
  vi.restoreAllMocks();
  vi.useRealTimers();
}
