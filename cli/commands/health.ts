/** `soneca health`: whether the control plane answers, and whether its cron runs. */
import type { AnswerOf } from "../../core/protocol/api.ts";
import { command } from "../command.ts";
import { formatAge, formatFacts, formatTime } from "../format.ts";

export const healthCommand = command({
  name: "health",
  description: "Whether the control plane answers, and when its cron last did its work",
  args: {},
  async run({ call, output, now }) {
    const answer = await call("health");
    output.document(answer);
    output.print(showHealth(answer, now));
  },
});

type Health = AnswerOf<"health">;

function showHealth({ version, time, cron }: Health, now: number): string {
  const duty = (one: NonNullable<Health["cron"]>["sweep"]) =>
    one === null ? "not yet" : `${formatAge(one.at, Date.parse(time))}${one.is_late ? ", which is late" : ""}`;
  return formatFacts([
    ["Version", version],
    ["Its clock", formatTime(time, now, { seconds: true })],
    ["Database", cron === null ? "does not answer" : "answers"],
    ["Overdue looked at", cron && duty(cron.sweep)],
    ["Provider's list compared", cron && duty(cron.provider)],
  ]);
}
