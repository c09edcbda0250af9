/**
 * Pages that look at an instance: WebSockets that the object keeps while it sleeps itself. Each change is told once it has
 * happened; a machine that is looked at reports more often.
 */
import { AppError } from "../../core/protocol/errors.ts";
import type { Role } from "../../core/protocol/roles.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import { offeredTo } from "../may.ts";

/** Says who asks (By, JSON); only the worker itself can call an object. */
export const watcherHeader = "x-soneca-by";
/** Beats come at least this often while somebody looks. */
const watchedBeatMs = 5_000;
/** Changes that come together are told once. */
const gatherMs = 100;
/** After it the page connects again, which asks anew whether it may. */
const longestMs = 3_600_000;
const maxWatchers = 32;
const tag = "watch";

interface Watcher {
  openedAt: number;
  role: Role;
}

export interface WatchHost {
  view(): InstanceView;
  /** The agent is to report now. */
  hurry(): void;
  keep(work: Promise<unknown>): void;
}

export class Watchers {
  readonly #ctx: DurableObjectState;
  readonly #host: WatchHost;
  #isTelling = false;

  constructor(ctx: DurableObjectState, host: WatchHost) {
    this.#ctx = ctx;
    this.#host = host;
  }

  /** Errors: too_many_requests. */
  admit(role: Role): Response {
    const open = this.#open();
    if (open.length >= maxWatchers) throw new AppError("too_many_requests", { retryAfterMs: 10_000 });
    // A ping is answered without waking the object.
    this.#ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    this.#ctx.acceptWebSocket(server, [tag]);
    server.serializeAttachment({ openedAt: Date.now(), role } satisfies Watcher);
    server.send(this.#messages()(role));
    if (open.length === 0) this.#host.hurry();
    return new Response(null, { status: 101, webSocket: client });
  }

  /** How long the agent may wait at most before it reports again. */
  beatWithin(usualMs: number): number {
    return this.#open().length > 0 ? Math.min(usualMs, watchedBeatMs) : usualMs;
  }

  tell(): void {
    if (this.#isTelling || this.#open().length === 0) return;
    this.#isTelling = true;
    this.#host.keep(
      scheduler.wait(gatherMs).then(() => {
        this.#isTelling = false;
        this.#tellAll();
      }),
    );
  }

  #tellAll(): void {
    const open = this.#open();
    if (open.length === 0) return;
    const messageFor = this.#messages();
    for (const socket of open) {
      try {
        // Those of before were admitted as owners.
        const { openedAt, role = "owner" } = socket.deserializeAttachment() as Partial<Watcher> & { openedAt: number };
        if (Date.now() - openedAt > longestMs) socket.close(4000, "connect again");
        else socket.send(messageFor(role));
      } catch {
        // It went at this moment.
      }
    }
  }

  /** One view for all, with the actions that each may ask for. */
  #messages(): (role: Role) => string {
    const view = this.#host.view();
    return (role) => JSON.stringify({ type: "instance", instance: offeredTo(role, view) });
  }

  #open(): WebSocket[] {
    return this.#ctx.getWebSockets(tag).filter((socket) => socket.readyState === WebSocket.OPEN);
  }
}
