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
        const message = String(error);
        // What could not connect was never asked; anything else may have been.
        const code = /refused|could not connect|ECONNREFUSED/i.test(message) ? "closed" : "broken";
        return { ok: false, code, message };
      }
    },
  };
}
