/**
 * Connections for requests with a body. A service may answer and close before it has read all of it: then a write fails
 * while the answer still waits to be read, and by itself node would end the connection with that write. So writes that find
 * nobody are as if they had been taken, and what the connection's end means is told by what was read.
 */
import { Agent } from "node:http";
import type { Socket } from "node:net";

type Done = (error?: NodeJS.ErrnoException | null) => void;

export class UploadAgent extends Agent {
  override createConnection(...args: Parameters<Agent["createConnection"]>) {
    const socket = super.createConnection(...args);
    if (socket) forgive(socket as Socket);
    return socket;
  }
}

function forgive(socket: Socket): void {
  const forgiving =
    (done: Done): Done =>
    (error) =>
      done(error?.code === "EPIPE" || error?.code === "ECONNRESET" ? null : error);
  const write = socket._write.bind(socket);
  socket._write = (chunk, encoding, done) => write(chunk, encoding, forgiving(done));
  const writeAll = socket._writev?.bind(socket);
  if (writeAll) socket._writev = (chunks, done) => writeAll(chunks, forgiving(done));
}
