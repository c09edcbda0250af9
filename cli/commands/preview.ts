/** `soneca instance preview`: what other settings would have done; changes nothing. */
import { routes } from "../../core/protocol/api.ts";
import { applyPatch } from "../../core/protocol/config.ts";
import { command, idArg } from "../command.ts";
import { showPreview } from "../preview-words.ts";
import { checked, readSettings, settingArgs } from "../settings.ts";

export const previewCommand = command({
  name: "preview",
  description: "What other settings would have done in the last days; changes nothing",
  args: { ...idArg, ...settingArgs },
  async run({ call, resolve, output, all, now }, args) {
    const patch = readSettings({ ...args, set: all("set") });
    const params = { id: await resolve(args.id) };
    const body = checked(routes.previewConfig.body, { auto_hibernation: patch ?? undefined });
    const [{ auto_hibernation: asIs }, answer] = await Promise.all([
      call("getConfig", { params }),
      call("previewConfig", { params, body }),
    ]);
    const settings = { as_is: asIs, as_set: applyPatch(asIs, patch ?? {}) };
    output.document({ settings, ...answer });
    if (!output.json) output.print(showPreview({ settings, ...answer }, now));
  },
});
