/** A worker that is nothing but a pipe: what comes in goes to the hostname that `x-test-hostname` names. */
import { gateHeaders } from "../../core/protocol/gate.ts";
import { tunnelPipe } from "../../worker/proxy/tunnel-pipe.ts";

interface Env {
  EDGE_URL: string;
}

export default {
  async fetch(request: Request, { EDGE_URL: edgeUrl }: Env): Promise<Response> {
    const hostname = request.headers.get("x-test-hostname") ?? "";
    const reached = await tunnelPipe({ hostname, edgeUrl }).fetch(request);
    if (reached.ok) return reached.response;
    return new Response(reached.message, { status: 503, headers: { [gateHeaders.pipe]: reached.code } });
  },
};
