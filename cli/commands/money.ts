/** `soneca savings` and `soneca instance cost`: what was paid, what sleeping avoided, and what each sleep cost. */
import { command, idArg } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { ledgerCsv, showLedger, showSavings } from "../money-words.ts";

const periodArgs = {
  from: {
    type: "string",
    valueHint: "DATE",
    description: "The first day, such as 2026-11-01, or an ISO 8601 time (30 days ago)",
  },
  to: { type: "string", valueHint: "DATE", description: "The day or time where it ends; not counted itself (now)" },
  tz: { type: "string", valueHint: "ZONE", description: "Whose days, such as America/Sao_Paulo (this machine's zone)" },
} as const;

interface PeriodFlags {
  from?: string | undefined;
  to?: string | undefined;
  tz?: string | undefined;
}

function periodOf({ from, to, tz }: PeriodFlags) {
  const zone = tz ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  return { ...(from && { from }), ...(to && { to }), tz: zone };
}

export const savingsCommand = command({
  name: "savings",
  description: "What was paid and what sleeping saved: per instance, per day, in all",
  args: periodArgs,
  async run({ call, output, now }, args) {
    const answer = await call("getSavings", { query: periodOf(args) });
    output.document(answer);
    if (!output.json) output.print(showSavings(answer, now));
  },
});

export const costCommand = command({
  name: "cost",
  description: "What it cost by kind, and each sleep: what was paid for it, what it avoided",
  args: {
    ...idArg,
    ...periodArgs,
    csv: { type: "boolean", description: "The ledger's rows as CSV" },
  },
  async run({ call, resolve, output, now }, args) {
    if (args.csv && output.json) throw usageFailure("--csv and --json exclude each other.");
    const answer = await call("getLedger", { params: { id: await resolve(args.id) }, query: periodOf(args) });
    if (args.csv) return output.print(ledgerCsv(answer));
    output.document(answer);
    if (!output.json) output.print(showLedger(answer, now));
  },
});
