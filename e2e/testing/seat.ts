/**
 * Before each file of e2e: waits until fewer than `SONECA_E2E_SEATS` others of the same run have a cloud. A seat is a socket without
 * a file, so it is free again when its process ends, however it ends.
 */
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const seats = Number(process.env.SONECA_E2E_SEATS ?? 2);

function take(seat: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(false) : reject(error),
    );
    // The runner of the whole run is the parent of each of its workers.
    server.listen(`\0soneca-e2e-${process.ppid}-${seat}`, () => {
      server.unref();
      resolve(true);
    });
  });
}

async function sit(): Promise<void> {
  for (;;) {
    for (let seat = 0; seat < seats; seat++) if (await take(seat)) return;
    await sleep(200);
  }
}

await sit();
