/** `soneca instance config`: shows the auto_hibernation settings, or changes what is named. */
import { command, idArg } from "../command.ts";
import { readSettings } from "../settings.ts";
import { showConfig } from "../show.ts";

export const configCommand = command({
  name: "config",
  description: "Its auto_hibernation settings; with options, changes them",
  args: {
    ...idArg,
    enabled: { type: "string", valueHint: "on|off", description: "Whether it may go to sleep by itself" },
    pause: {
      type: "string",
      valueHint: "MIN|auto",
      description: "Minutes idle before it goes to sleep; auto: when it pays",
    },
    delete: { type: "string", valueHint: "MIN", description: "Minutes asleep before it becomes deleted" },
    threshold: { type: "string", valueHint: "PCT", description: "A GPU below this is idle" },
    interval: { type: "string", valueHint: "SEC", description: "Seconds between two reports" },
    "wake-method": { type: "string", valueHint: "manual|auto|scheduled", description: "How it wakes" },
    schedule: {
      type: "string",
      valueHint: "'09:00-18:00 America/Sao_Paulo'|none",
      description: "Wake and sleep times",
    },
    set: { type: "string", valueHint: "KEY=VALUE", description: "A setting by its own name; may be repeated" },
  },
  async run({ call, resolve, output, all }, args) {
    const patch = readSettings({ ...args, set: all("set") });
    const params = { id: await resolve(args.id) };
    const answer = patch
      ? await call("putConfig", { params, body: { auto_hibernation: patch } })
      : await call("getConfig", { params });
    output.document(answer);
    if (patch) output.print("Changed.\n");
    output.print(showConfig(answer.auto_hibernation));
  },
});
