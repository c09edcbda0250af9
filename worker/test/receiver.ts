/** Whatever notices are sent to, behind the same `fetch` as the stand-in for the provider. */
import { vi } from "vitest";

export interface Received {
  host: string;
  url: string;
  headers: Headers;
  text: string;
  /** As JSON. */
  body: Record<string, unknown>;
  init: RequestInit;
}

type Reply = (received: Received) => Response | Promise<Response>;

export class FakeReceiver {
  readonly received: Received[] = [];
  /** By host; a host without one answers 204. */
  readonly replies = new Map<string, Reply>();

  /** After the provider's, which keeps what is its own. */
  install(): void {
    const spy = vi.spyOn(globalThis, "fetch");
    const others = spy.getMockImplementation()!;
    spy.mockImplementation(async (input, init = {}) => {
      const url = new URL(String(input));
      if (!url.hostname.endsWith(".example.com")) return others(input, init);
      const text = String(init.body);
      const headers = new Headers(init.headers);
      const one = { host: url.host, url: url.href, headers, text, body: JSON.parse(text), init };
      this.received.push(one);
      return (await this.replies.get(url.host)?.(one)) ?? new Response(null, { status: 204 });
    });
  }

  at(host: string): Received[] {
    return this.received.filter((one) => one.host === host);
  }
}
