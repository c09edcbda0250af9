/** A small HTTP server in the gate's place: it echoes, streams, and takes WebSockets. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocketServer } from "ws";

export interface TestGate {
  port: number;
  /** Requests for /events and /silence that somebody waits for now. */
  open(): number;
  close(): Promise<void>;
}

/**
 * `/echo` gives back the body, `/headers` the request's head, `/events` an event each 50 ms until the reader goes,
 * `/status/N` that status, `/break` ends the connection, `/silence` never answers; everything upgraded echoes.
 */
export async function startTestGate(): Promise<TestGate> {
  let open = 0;
  const watch = (response: ServerResponse) => {
    open++;
    response.on("close", () => open--);
  };
  const server = createServer(async (request, response) => {
    const path = request.url ?? "/";
    if (path.startsWith("/echo")) {
      response.writeHead(200, { "content-type": "application/octet-stream" });
      request.pipe(response);
    } else if (path.startsWith("/headers")) {
      response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers }));
    } else if (path.startsWith("/events")) {
      watch(response);
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (let n = 0; !response.destroyed; n++) {
        response.write(`data: ${n}\n\n`);
        await sleep(50);
      }
    } else if (path.startsWith("/status/")) {
      response.writeHead(Number(path.slice("/status/".length)), { "content-type": "text/plain" });
      response.end("of the service");
    } else if (path.startsWith("/break")) request.socket.destroy();
    else if (path.startsWith("/silence")) watch(response);
    else response.end("ok");
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) =>
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    open: () => open,
    async close() {
      for (const client of sockets.clients) client.terminate();
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}
