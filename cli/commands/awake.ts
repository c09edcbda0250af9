/** `soneca instance keep-awake` and `not-now`: what holds a machine awake on purpose. */
import { routes } from "../../core/protocol/api.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import { command, idArg, type Session } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { formatTime } from "../format.ts";
import { checked, readDurationMs } from "../settings.ts";
import { nextWords } from "../status-words.ts";

export const keepAwakeCommand = command({
  name: "keep-awake",
  description: "Hold it awake for a time from now; with --end, let it sleep again",
  args: {
    ...idArg,
    time: { type: "positional", required: false, description: "90s, 30m, 2h" },
    reason: { type: "string", valueHint: "TEXT", description: "What for, for whoever looks" },
    end: { type: "boolean", description: "End everything that holds it, running commands' leases included" },
  },
  async run(session, args) {
    if ((args.time === undefined) === !args.end) throw usageFailure("Say for how long, such as 2h, or --end.");
    if (args.end && args.reason !== undefined) throw usageFailure("--reason goes with a time.");
    const params = { id: await session.resolve(args.id) };
    if (args.time === undefined) return tell(session, await session.call("letSleep", { params }));
    const minutes = readDurationMs("TIME", args.time) / 60_000;
    const body = checked(routes.keepAwake.body, { minutes, reason: args.reason });
    tell(session, await session.call("keepAwake", { params, body }));
  },
});

export const notNowCommand = command({
  name: "not-now",
  description: "Put the next sleep off, for as long as its settings say (not_now_minutes)",
  args: idArg,
  async run(session, args) {
    const params = { id: await session.resolve(args.id) };
    tell(session, await session.call("notNow", { params, body: {} }));
  },
});

function tell({ output, now }: Session, view: InstanceView): void {
  output.document(view);
  const last = view.leases
    .map((one) => one.until)
    .sort()
    .at(-1);
  output.print(last ? `Held awake until ${formatTime(last, now)}.` : `Not held awake. Next: ${nextWords(view, now)}.`);
}
