/** Every command of `soneca`. */
import { type CommandDef, defineCommand } from "citty";
import { version } from "../core/protocol/version.ts";
import { auditCommand } from "./commands/audit.ts";
import { channelCommand } from "./commands/channel.ts";
import { completionCommand } from "./commands/completion.ts";
import { healthCommand } from "./commands/health.ts";
import { instanceCommand, listCommand } from "./commands/instance.ts";
import { loginCommand, logoutCommand } from "./commands/login.ts";
import { machinesCommand } from "./commands/machines.ts";
import { memberCommand } from "./commands/member.ts";
import { estimateCommand, savingsCommand } from "./commands/money.ts";
import { offersCommand } from "./commands/offers.ts";
import { openCommand } from "./commands/open.ts";
import { policyCommand } from "./commands/policy.ts";
import { providerKeyCommand, secretsCommand } from "./commands/provider-key.ts";
import { copyCommand, sshCommand } from "./commands/shell.ts";
import { simulateCommand } from "./commands/simulate.ts";
import { snapshotCommand } from "./commands/snapshot.ts";
import { tokenCommand, whoamiCommand } from "./commands/token.ts";

const topLevelList: typeof listCommand = {
  ...listCommand,
  meta: { name: "ls", description: "The same as instance list" },
};

export const root: CommandDef = defineCommand({
  meta: { name: "soneca", version, description: "Rented GPUs that go to sleep by themselves and wake when wanted" },
  subCommands: {
    instance: instanceCommand,
    snapshot: snapshotCommand,
    policy: policyCommand,
    channel: channelCommand,
    ls: topLevelList,
    offers: offersCommand,
    machines: machinesCommand,
    estimate: estimateCommand,
    savings: savingsCommand,
    simulate: simulateCommand,
    whoami: whoamiCommand,
    token: tokenCommand,
    member: memberCommand,
    "provider-key": providerKeyCommand,
    audit: auditCommand,
    secrets: secretsCommand,
    login: loginCommand,
    logout: logoutCommand,
    open: openCommand,
    ssh: sshCommand,
    cp: copyCommand,
    health: healthCommand,
    completion: completionCommand(() => root),
  },
});
