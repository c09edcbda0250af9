/** A Durable Object that nothing else uses: its alarm and its sockets say whether those of the others work. */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "../env.ts";

export class SelfTestObject extends DurableObject<Env> {
  async arm(delayMs: number): Promise<void> {
    this.ctx.storage.kv.delete("fired");
    await this.ctx.storage.setAlarm(Date.now() + delayMs);
  }

  /** Epoch ms; null while it has not. */
  firedAt(): number | null {
    return this.ctx.storage.kv.get<number>("fired") ?? null;
  }

  override alarm(): void {
    this.ctx.storage.kv.put("fired", Date.now());
  }

  override fetch(): Response {
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.ctx.acceptWebSocket(ours);
    return new Response(null, { status: 101, webSocket: theirs });
  }

  override webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    socket.send(message);
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    socket.close(code === 1005 ? 1000 : code, "");
  }
}
