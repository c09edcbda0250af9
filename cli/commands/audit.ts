/** `soneca audit`: who changed what in your team, newest first. */
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { AuditLine } from "../../core/protocol/audit.ts";
import { command } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { formatTable, formatTime } from "../format.ts";
import { readNumber } from "../settings.ts";

const pageSize = 500;

export const auditCommand = command({
  name: "audit",
  description: "Who changed what in your team, newest first; for its owners",
  args: {
    instance: { type: "string", valueHint: "ID", description: "Only of this instance" },
    refused: { type: "boolean", description: "Only what was refused" },
    limit: { type: "string", valueHint: "N", description: "At most this many lines (50)" },
    before: { type: "string", valueHint: "N", description: "Only lines older than this one" },
  },
  async run({ call, output, now, resolve, all }, args) {
    if (all("instance").length > 1) throw usageFailure("--instance is given more than once.");
    const limit = readCount("--limit", args.limit ?? "50");
    const instance = args.instance === undefined ? undefined : await resolve(args.instance);
    let before = args.before === undefined ? null : readCount("--before", args.before);
    const lines: AuditLine[] = [];
    let page: AnswerOf<"listAudit">;
    do {
      page = await call("listAudit", {
        query: {
          limit: Math.min(pageSize, limit - lines.length),
          ...(before !== null && { before }),
          ...(instance !== undefined && { instance }),
          ...(args.refused && { outcome: "refused" as const }),
        },
      });
      lines.push(...page.lines);
      before = page.next_before;
    } while (before !== null && lines.length < limit);
    output.document({ lines, next_before: before });
    if (lines.length === 0) output.print("Nothing yet.");
    else output.print(formatTable(["N", "WHEN", "WHO", "WHAT", "OF", "OUTCOME", "FROM"], lines.map(rowOf(now))));
  },
});

function rowOf(now: number): (line: AuditLine) => string[] {
  return (line) => [
    String(line.id),
    formatTime(line.at, now, { seconds: true }),
    line.name ?? line.actor,
    line.operation,
    line.instance_id ?? line.target ?? "",
    line.code === null ? "done" : `${line.status} ${line.code}`,
    line.origin,
  ];
}

function readCount(flag: string, text: string): number {
  const value = readNumber(flag, text);
  if (!Number.isInteger(value) || value < 1) throw usageFailure(`${flag} takes a whole number from 1 on.`);
  return value;
}
