/** The gate of a machine that this very worker shares its host with: the local cloud. */
import type { Pipe } from "./pipe.ts";

export function directPipe(gatePort: number): Pipe {
  return {
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      try {
        const response = await fetch(new Request(`http://127.0.0.1:${gatePort}${pathname}${search}`, request));
        return { ok: true, response };
      } catch (error) {
        // Nobody listened, or the connection broke: workerd has one word for both.
        return { ok: false, code: "broken", message: String(error) };
      }
    },
  };
}
