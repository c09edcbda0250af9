/** The stand-in's cloudflared as a process, for tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeCloudflared } from "../launcher.ts";
import type { TunnelServer } from "../server.ts";
import { tokenOf } from "../state.ts";

export interface Connector {
  child: ChildProcess;
  pid: number;
  /** What it said so far. */
  log(): string;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface ConnectorOptions {
  protocol?: "quic" | "http2";
  /** As SONECA_FAKE_CLOUDFLARED_FAULTS has them. */
  faults?: string;
  token?: string;
}

/** Resolves when it is registered, or has ended. */
export async function startConnector(
  server: TunnelServer,
  tunnelId: string,
  { protocol = "http2", faults = "", token }: ConnectorOptions = {},
): Promise<Connector> {
  const folder = mkdtempSync(join(tmpdir(), "soneca-connector-"));
  const tokenFile = join(folder, "token");
  const tunnel = server.state.tunnels.find((one) => one.id === tunnelId);
  writeFileSync(tokenFile, token ?? tokenOf(tunnel!, server.accountId), { mode: 0o600 });
  const args = ["tunnel", "--no-autoupdate", "--metrics", "127.0.0.1:0", "--protocol", protocol];
  const child = spawn(writeCloudflared(folder), [...args, "run", "--token-file", tokenFile], {
    env: { ...process.env, SONECA_FAKE_EDGE: server.connectorAddress, SONECA_FAKE_CLOUDFLARED_FAULTS: faults },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let text = "";
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await new Promise<void>((resolve) => {
    child.stderr!.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      if (text.includes("Registered tunnel connection")) resolve();
    });
    void ended.then(resolve);
  });
  return {
    child,
    pid: child.pid!,
    log: () => text,
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
