/** `soneca instance events`: what happened, the newest ones, or on from a number; --follow stays and shows more. */
import type { EventView } from "../../core/protocol/views.ts";
import { command, idArg, type Session } from "../command.ts";
import { Failure, usageFailure } from "../failure.ts";
import { readNumber } from "../settings.ts";
import { showEvent } from "../show.ts";

const pageSize = 1000;
const followEveryMs = 1_500;
const silenceLimitMs = 60_000;

export const eventsCommand = command({
  name: "events",
  description: "What happened to it, oldest first",
  args: {
    ...idArg,
    follow: {
      type: "boolean",
      alias: "f",
      description: "Stay, and show what happens next (one JSON line each with --json)",
    },
    limit: {
      type: "string",
      valueHint: "N",
      description: "At most this many: the newest, or the first after --after (50)",
    },
    after: { type: "string", valueHint: "SEQ", description: "Only what came after this number" },
  },
  async run(session, args) {
    const limit = readCount("--limit", args.limit ?? "50", 1);
    const after = args.after === undefined ? null : readCount("--after", args.after, 0);
    const id = await session.resolve(args.id);
    const { output, now } = session;
    const { events, next } = after === null ? await newest(session, id, limit) : await first(session, id, limit, after);
    if (!args.follow) {
      output.document({ events, next_after: next });
      if (!output.json) {
        if (events.length === 0) output.print("Nothing happened yet.");
        for (const event of events) output.print(showEvent(output, event, now));
      }
      return;
    }
    process.on("SIGINT", () => process.exit(130));
    tell(session, events);
    await keepTelling(session, id, next);
  },
});

/** The API counts from the oldest, so the newest are at the end of the pages. */
async function newest({ call }: Session, id: string, limit: number) {
  let events: EventView[] = [];
  let next = 0;
  for (;;) {
    const page = await call("listEvents", { params: { id }, query: { after: next, limit: pageSize } });
    events = [...events, ...page.events].slice(-limit);
    const isLast = page.events.length < pageSize || page.next_after <= next;
    next = Math.max(next, page.next_after);
    if (isLast) return { events, next };
  }
}

async function first({ call }: Session, id: string, limit: number, after: number) {
  const events: EventView[] = [];
  let next = after;
  while (events.length < limit) {
    const wanted = Math.min(pageSize, limit - events.length);
    const page = await call("listEvents", { params: { id }, query: { after: next, limit: wanted } });
    events.push(...page.events);
    const isLast = page.events.length < wanted || page.next_after <= next;
    next = Math.max(next, page.next_after);
    if (isLast) break;
  }
  return { events, next };
}

async function keepTelling(session: Session, id: string, from: number): Promise<never> {
  let after = from;
  let silentSince: number | null = null;
  for (;;) {
    try {
      const page = await session.call("listEvents", { params: { id }, query: { after, limit: pageSize } });
      silentSince = null;
      tell(session, page.events);
      after = Math.max(after, page.next_after);
      if (page.events.length === pageSize) continue;
    } catch (error) {
      if (!(error instanceof Failure) || !error.details.retryable) throw error;
      silentSince ??= Date.now();
      if (Date.now() - silentSince > silenceLimitMs) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, followEveryMs));
  }
}

function tell({ output }: Session, events: EventView[]): void {
  for (const event of events) {
    output.document(event, "line");
    if (!output.json) output.print(showEvent(output, event, Date.now()));
  }
}

function readCount(flag: string, text: string, least: number): number {
  const count = readNumber(flag, text);
  if (!Number.isSafeInteger(count) || count < least)
    throw usageFailure(`${flag} takes a whole number from ${least} on.`);
  return count;
}
