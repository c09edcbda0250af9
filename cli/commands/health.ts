/** `soneca health`: whether the control plane answers, and whether its cron runs. */
import type { AnswerOf } from "../../core/protocol/api.ts";
import { command } from "../command.ts";
import { exitCodes } from "../failure.ts";
import { formatAge, formatDuration, formatFacts, formatTime } from "../format.ts";

export const healthCommand = command({
  name: "health",
  description: "Whether the control plane answers and its cron does its work; 1 where not. Needs no token",
  args: {},
  isOpen: true,
  async run({ call, output, now }) {
    const answer = await call("health");
    output.document(answer);
    output.print(showHealth(answer, now));
    if (isUnwell(answer)) process.exitCode = exitCodes.failed;
  },
});

type Health = AnswerOf<"health">;

/** What a watcher calls somebody for. A cron that has never run is not late yet. */
function isUnwell({ cron, clock }: Health): boolean {
  const isLate = cron === null || cron.sweep?.is_late === true || cron.provider?.is_late === true;
  return isLate || (clock !== null && clock.late_instances > 0);
}

function showHealth({ version, time, cron, clock }: Health, now: number): string {
  const duty = (one: NonNullable<Health["cron"]>["sweep"]) =>
    one === null ? "not yet" : `${formatAge(one.at, Date.parse(time))}${one.is_late ? ", which is late" : ""}`;
  return formatFacts([
    ["Version", version],
    ["Its clock", formatTime(time, now, { seconds: true })],
    ["Database", cron === null ? "does not answer" : "answers"],
    ["Overdue looked at", cron && duty(cron.sweep)],
    ["Provider's list compared", cron && duty(cron.provider)],
    ["Instances late", clock ? lateWords(clock) : null],
    ["Next one due", clock?.next_due_at ? formatAge(clock.next_due_at, Date.parse(time)) : null],
    ["Agents' clocks", clock ? skewWords(clock.largest_skew_seconds) : null],
  ]);
}

function lateWords({ late_instances: late }: NonNullable<Health["clock"]>): string {
  return late === 0 ? "none" : `${late}, past their deadline and not looked at`;
}

/** The way of a report is in it: below a second nothing can be said. */
function skewWords(seconds: number | null): string | null {
  if (seconds === null) return null;
  if (Math.abs(seconds) < 1) return "agree with its own";
  return `one is ${formatDuration(Math.abs(seconds) * 1000)} ${seconds > 0 ? "ahead" : "behind"}`;
}
