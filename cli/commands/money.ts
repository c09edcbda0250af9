/** `soneca savings` and `soneca instance cost`: what was paid, what sleeping avoided, and what each sleep cost. */
import { routes } from "../../core/protocol/api.ts";
import { command, idArg } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { ledgerCsv, showEstimate, showLedger, showSavings } from "../money-words.ts";
import { checked, readNumber } from "../settings.ts";

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

export const estimateCommand = command({
  name: "estimate",
  description: "Before renting: the offer that would be taken now, and what sleeping would save on it",
  args: {
    gpu: { type: "string", valueHint: '"RTX 4090"', description: "GPU type; any without" },
    "gpu-count": { type: "string", valueHint: "N", description: "How many GPUs (1)" },
    region: { type: "string", valueHint: "CC", description: "Country code, or EU, NA, SA, AS, AF, OC" },
    disk: { type: "string", valueHint: "GB", description: "Disk (50)" },
    workspace: { type: "string", required: true, valueHint: "GB", description: "Size of the workspace as stored" },
    upload: { type: "string", valueHint: "GB", description: "How much of it a sleep uploads (all of it)" },
    uses: { type: "string", required: true, valueHint: "N", description: "Blocks of use a day, a sleep after each" },
    hours: { type: "string", required: true, valueHint: "H", description: "Hours of use a day, all blocks together" },
    pause: { type: "string", valueHint: "MIN", description: "Minutes idle before it goes to sleep (3)" },
    wake: { type: "string", valueHint: "MIN", description: "Minutes of a boot and restore; not known without" },
  },
  async run({ call, output }, args) {
    const number = (flag: string, text: string | undefined) =>
      text === undefined ? undefined : readNumber(flag, text);
    const query = checked(routes.estimate.query, {
      gpu_type: args.gpu,
      gpu_count: number("--gpu-count", args["gpu-count"]),
      region: args.region,
      disk_gb: number("--disk", args.disk),
      workspace_gb: number("--workspace", args.workspace),
      upload_gb: number("--upload", args.upload),
      uses_per_day: number("--uses", args.uses),
      hours_per_day: number("--hours", args.hours),
      idle_minutes: number("--pause", args.pause),
      wake_minutes: number("--wake", args.wake),
    });
    const answer = await call("estimate", { query });
    output.document(answer);
    if (!output.json) output.print(showEstimate(answer));
  },
});
