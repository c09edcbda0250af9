/** `soneca provider-key`: your team's own key to the provider. `soneca secrets`: the keys that seal what the deployment keeps. */
import { defineCommand } from "citty";
import { type AnswerOf, routes } from "../../core/protocol/api.ts";
import type { SecretsView } from "../../core/protocol/secrets.ts";
import { askSecret } from "../ask-secret.ts";
import { command } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { formatAge, formatFacts, formatTable, formatTime } from "../format.ts";
import { checked } from "../settings.ts";

type Key = AnswerOf<"getProviderKey">["key"];

function keyFacts(key: Key, now: number): string {
  if (!key) return "Your team has no key of its own: machines are rented with the deployment's.";
  return formatFacts([
    ["Key", `...${key.hint}`],
    ["Set", formatTime(key.created_at, now)],
    ["Last used", formatAge(key.last_used_at, now)],
    ["Trouble", key.trouble && `${key.trouble.message} (${formatAge(key.trouble.at, now)})`],
  ]);
}

const show = command({
  name: "show",
  description: "Whether your team has a key of its own, and whether the provider takes it",
  args: {},
  async run({ call, output, now }) {
    const answer = await call("getProviderKey");
    output.document(answer);
    output.print(keyFacts(answer.key, now));
  },
});

const set = command({
  name: "set",
  description: "Rent with your own key from now on; it is asked for, or read from standard input, and tried first",
  args: {},
  async run({ call, output, now }) {
    const key = await askSecret("Key");
    if (key === "") throw usageFailure("There is no key.", "Type it, or send it to standard input.");
    const answer = await call("setProviderKey", { body: checked(routes.setProviderKey.body, { key }) });
    output.document(answer);
    output.print(keyFacts(answer.key, now));
  },
});

const test = command({
  name: "test",
  description: "Ask the provider whether it takes your key now; changes nothing there",
  args: {},
  async run({ call, output }) {
    const answer = await call("testProviderKey");
    output.document(answer);
    output.print(`The provider takes it and shows ${answer.machines} machines, ${answer.managed} of them managed.`);
  },
});

const remove = command({
  name: "remove",
  alias: "rm",
  description: "Rent with the deployment's key again; refused while machines are rented with yours",
  args: {},
  async run({ call, output }) {
    await call("removeProviderKey");
    output.document({ removed: true });
    output.print("Removed. What is rented from now on is rented with the deployment's key.");
  },
});

export const providerKeyCommand = defineCommand({
  meta: { name: "soneca provider-key", description: "Your team's own key to vast.ai" },
  subCommands: { show, set, test, remove },
});

function secretsTable({ current, keys, unreadable, may_remove }: SecretsView): string {
  if (current === null) return "SECRETS_KEYS is not set: nothing can be sealed.";
  const state = (version: string, isKnown: boolean) => {
    if (version === current) return "seals now";
    if (!isKnown) return "missing in SECRETS_KEYS";
    return may_remove.includes(version) ? "may be removed" : "still needed";
  };
  const rows = keys.map((one) => [one.version, String(one.secrets), state(one.version, one.is_known)]);
  const lost = unreadable === 0 ? "" : `\n\n${unreadable} cannot be opened with any of them: enter those again.`;
  return formatTable(["VERSION", "SECRETS", ""], rows, ["SECRETS"]) + lost;
}

const count = command({
  name: "show",
  description: "How many secrets each version of SECRETS_KEYS has sealed, and which may be removed",
  args: {},
  async run({ call, output }) {
    const answer = await call("getSecrets");
    output.document(answer);
    output.print(secretsTable(answer));
  },
});

const reseal = command({
  name: "reseal",
  description: "Seal with the first of SECRETS_KEYS what an older one sealed",
  args: {},
  async run({ call, output }) {
    const answer = await call("resealSecrets");
    output.document(answer);
    output.note(`Sealed anew: ${answer.resealed}.`);
    output.print(secretsTable(answer));
  },
});

export const secretsCommand = defineCommand({
  meta: {
    name: "soneca secrets",
    description: "For whoever runs the deployment, with the admin token: the keys that seal what it keeps",
  },
  subCommands: { show: count, reseal },
});
