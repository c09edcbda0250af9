/** `soneca instance config`: shows the auto_hibernation settings and whose word each is, or changes what is named. */
import { routes } from "../../core/protocol/api.ts";
import { command, idArg } from "../command.ts";
import { checked, readSettings, settingArgs } from "../settings.ts";
import { showConfig } from "../show-settings.ts";

export const configCommand = command({
  name: "config",
  description: "Its auto_hibernation settings and where each comes from; with options, changes its own",
  args: {
    ...idArg,
    ...settingArgs,
    unset: {
      type: "string",
      valueHint: "KEY",
      description: "No longer its own: the policies decide it again; may be repeated",
    },
  },
  async run({ call, resolve, output, all }, args) {
    const patch = readSettings({ ...args, set: all("set") });
    const unset = all("unset");
    const params = { id: await resolve(args.id) };
    const isChange = patch !== null || unset.length > 0;
    const change = { auto_hibernation: patch ?? undefined, unset: unset.length > 0 ? unset : undefined };
    const answer = isChange
      ? await call("putConfig", { params, body: checked(routes.putConfig.body, change) })
      : await call("getConfig", { params });
    output.document(answer);
    if (isChange) output.print("Changed.\n");
    output.print(showConfig(answer));
  },
});
