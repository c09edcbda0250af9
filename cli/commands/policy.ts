/** `soneca policy`: what you set for all of your instances, or for those of one GPU type. */
import { defineCommand } from "citty";
import { routes } from "../../core/protocol/api.ts";
import { command } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { checked, readSettings, settingArgs } from "../settings.ts";
import { policyName, showPolicies, toldWords } from "../show-settings.ts";

const gpuArg = {
  gpu: { type: "string", valueHint: '"RTX 4090"', description: "For instances with this GPU; for all without" },
} as const;

const show = command({
  name: "show",
  description: "Your policies; the one of a GPU type wins over the one for all, an instance's own setting over both",
  args: gpuArg,
  async run({ call, output }, args) {
    const { policies } = await call("listPolicies");
    const spelled = args.gpu?.replaceAll("_", " ").toLowerCase();
    const wanted = policies.filter((one) => spelled === undefined || one.gpu_type?.toLowerCase() === spelled);
    output.document({ policies: wanted });
    output.print(showPolicies(wanted));
  },
});

const set = command({
  name: "set",
  description: "Change a policy; it reaches every instance that did not set the value itself",
  args: { ...gpuArg, ...settingArgs },
  async run({ call, output, all }, args) {
    const patch = readSettings({ ...args, set: all("set") });
    if (!patch) throw usageFailure("What is to be set? Nothing is named.", "See `soneca policy set --help`.");
    const body = checked(routes.putPolicy.body, { gpu_type: args.gpu, auto_hibernation: patch });
    const answer = await call("putPolicy", { body });
    output.document(answer);
    output.print(`${showPolicies([answer.policy])}\n\n${toldWords(answer.instances)}`);
  },
});

const unset = command({
  name: "unset",
  description: "Take settings out of a policy, or the whole of it",
  args: {
    ...gpuArg,
    setting: { type: "string", valueHint: "KEY", description: "Only this one; may be repeated. All without" },
  },
  async run({ call, output, all }, args) {
    const names = all("setting");
    const answer =
      names.length > 0
        ? await call("putPolicy", { body: checked(routes.putPolicy.body, { gpu_type: args.gpu, unset: names }) })
        : await call("deletePolicy", { query: args.gpu === undefined ? {} : { gpu_type: args.gpu } });
    output.document(answer);
    const left = Object.keys(answer.policy.auto_hibernation).length > 0;
    const words = left
      ? showPolicies([answer.policy])
      : `Nothing is set ${policyName(answer.policy.gpu_type)} any more.`;
    output.print(`${words}\n\n${toldWords(answer.instances)}`);
  },
});

export const policyCommand = defineCommand({
  meta: { name: "soneca policy", description: "What you set for all of your instances, or for those of a GPU type" },
  subCommands: { show, set, unset },
});
