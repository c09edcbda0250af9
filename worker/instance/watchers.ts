/**
 * Pages that look at an instance: WebSockets that the object keeps while it sleeps itself. Each change is told once it has
 * happened; a machine that is looked at reports more often.
 */
import { AppError } from "../../core/protocol/errors.ts";
import type { Role } from "../../core/protocol/roles.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { Asker, By } from "../asker.ts";
import { offeredTo } from "../may.ts";

/** Says who asks (WatchBy, JSON); only the worker itself can call an object. */
export const watcherHeader = "x-soneca-by";
/** Beats come at least this often while somebody looks. */
const watchedBeatMs = 5_000;
/** Changes that come together are told once. */
const gatherMs = 100;
/** After it the page connects again, which asks anew whether it may. */
const longestMs = 3_600_000;
/** A revoked token is told things for so long at most, as the proxy lets it in. */
const checkedEveryMs = 30_000;
/** Where the database does not say in this time, what it said before holds, */
const checkWithinMs = 2_000;
/** and for no longer than this: then the page is to connect again, which asks it once more. */
const uncheckedMs = 300_000;
const maxWatchers = 32;
const tag = "watch";

export type WatchBy = By & Pick<Asker, "tokenId">;

interface Watcher {
  openedAt: number;
  by: WatchBy;
  /** As it was when it was last looked up. */
  role: Role;
  checkedAt: number;
  /** When that was last tried. */
  askedAt: number;
}

export interface WatchHost {
  view(): InstanceView;
  /** The role of somebody who was let in before; null: none any more. Throws where that cannot be known. */
  roleStill(by: WatchBy): Promise<Role | null>;
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
  admit(by: WatchBy): Response {
    const open = this.#open();
    if (open.length >= maxWatchers) throw new AppError("too_many_requests", { retryAfterMs: 10_000 });
    // A ping is answered without waking the object.
    this.#ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    this.#ctx.acceptWebSocket(server, [tag]);
    const now = Date.now();
    const watcher: Watcher = { openedAt: now, by, role: by.role, checkedAt: now, askedAt: now };
    server.serializeAttachment(watcher);
    server.send(this.#messages()(by.role));
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
      scheduler
        .wait(gatherMs)
        .then(() => this.#checkAll())
        .finally(() => {
          this.#isTelling = false;
          this.#tellAll();
        }),
    );
  }

  /** Who looks on for longer may have lost what let them in. */
  async #checkAll(): Promise<void> {
    const now = Date.now();
    const asked = new Map<string, Promise<Role | null | "unknown">>();
    const checks = this.#open().map(async (socket) => {
      const watcher = readWatcher(socket);
      if (!watcher || now - watcher.askedAt < checkedEveryMs) return;
      const key = JSON.stringify(watcher.by);
      const answer = asked.get(key) ?? this.#roleStill(watcher.by);
      asked.set(key, answer);
      const role = await answer;
      if (role === null) return quietly(() => socket.close(1008, "not let in any more"));
      const known = role === "unknown" ? {} : { role, checkedAt: now };
      quietly(() => socket.serializeAttachment({ ...watcher, ...known, askedAt: now } satisfies Watcher));
    });
    await Promise.all(checks);
  }

  async #roleStill(by: WatchBy): Promise<Role | null | "unknown"> {
    const late = scheduler.wait(checkWithinMs).then(() => "unknown" as const);
    return Promise.race([this.#host.roleStill(by).catch(() => "unknown" as const), late]);
  }

  #tellAll(): void {
    const open = this.#open();
    if (open.length === 0) return;
    const messageFor = this.#messages();
    const now = Date.now();
    for (const socket of open) {
      quietly(() => {
        const watcher = readWatcher(socket);
        const isOver = !watcher || now - watcher.openedAt > longestMs || now - watcher.checkedAt > uncheckedMs;
        if (isOver) socket.close(4000, "connect again");
        else socket.send(messageFor(watcher.role));
      });
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

/** Null: of a version that did not know who looks. */
function readWatcher(socket: WebSocket): Watcher | null {
  const watcher = socket.deserializeAttachment() as Partial<Watcher> | null;
  return watcher?.by ? (watcher as Watcher) : null;
}

function quietly(act: () => void): void {
  try {
    act();
  } catch {
    // It went at this moment.
  }
}
