/** `soneca channel`: where you are told what happens, and how it went. */
import { defineCommand } from "citty";
import { routes } from "../../core/protocol/api.ts";
import { channelKinds, groupNames, noticeLanguages } from "../../core/protocol/notices.ts";
import { channelTable, deliveryTable, deliveryWords, groupsHelp } from "../channel-words.ts";
import { command, type Session } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { pickOne } from "../pick.ts";
import { checked, readSwitch } from "../settings.ts";

const channelArg = {
  channel: { type: "positional", required: true, description: "Id, beginning of an id, or name" },
} as const;

const filterArgs = {
  name: { type: "string", valueHint: "NAME", description: "What you call it" },
  events: { type: "string", valueHint: "LIST|all", description: `Of what it is told: ${groupNames.join(", ")}` },
  instances: { type: "string", valueHint: "LIST|all", description: "Ids or names, with commas; all without" },
  language: { type: "string", valueHint: noticeLanguages.join("|"), description: "Of the notices" },
  buttons: { type: "string", valueHint: "on|off", description: 'ntfy: "Not now" and "Wake" in the notice itself' },
  "access-token": { type: "string", valueHint: "TOKEN|none", description: "ntfy: of its server" },
} as const;

type FilterFlags = { [N in keyof typeof filterArgs]?: string | undefined };

async function readFilters({ resolve }: Session, flags: FilterFlags): Promise<Record<string, unknown>> {
  const { name, events, instances, language, buttons } = flags;
  const token = flags["access-token"];
  return {
    ...(name !== undefined && { name }),
    ...(events !== undefined && { groups: events === "all" ? [...groupNames] : wordsIn(events) }),
    ...(instances !== undefined && {
      instances: instances === "all" ? null : await Promise.all(wordsIn(instances).map(resolve)),
    }),
    ...(language !== undefined && { language }),
    ...(buttons !== undefined && { buttons: readSwitch("--buttons", buttons) }),
    ...(token !== undefined && { token: token === "none" ? null : token }),
  };
}

function wordsIn(list: string): string[] {
  return list
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

async function find({ call }: Session, wanted: string) {
  const { channels } = await call("listChannels");
  const words = { none: "You have no channel", many: "channels", listed: "soneca channel list" };
  return pickOne(channels, wanted, words);
}

const list = command({
  name: "list",
  alias: "ls",
  description: "Your channels, without their secrets",
  args: {},
  async run({ call, output, now }) {
    const answer = await call("listChannels");
    output.document(answer);
    output.print(channelTable(answer.channels, now));
  },
});

const add = command({
  name: "add",
  description: "Be told by a webhook, Slack, Discord, ntfy or e-mail",
  args: {
    kind: { type: "positional", required: true, description: channelKinds.join(", ") },
    address: { type: "positional", required: true, description: "URL of the webhook or of the topic; e-mail address" },
    ...filterArgs,
  },
  async run(session, args) {
    const { call, output } = session;
    const target = args.kind === "email" ? { email: args.address } : { url: args.address };
    const body = checked(routes.createChannel.body, {
      kind: args.kind,
      ...target,
      ...(await readFilters(session, args)),
    });
    const answer = await call("createChannel", { body });
    output.document(answer);
    if (output.json) return;
    output.note(`Channel ${answer.name} (${answer.id}) is told of: ${groupsHelp(answer.groups)}.`);
    output.note(`Try it: soneca channel test ${answer.id}`);
    if (answer.secret === null) return;
    output.note("What its signatures are made with; it is shown this once:");
    output.print(answer.secret);
  },
});

const set = command({
  name: "set",
  description: "Change a channel; what is not named stays",
  args: {
    ...channelArg,
    ...filterArgs,
    address: { type: "string", valueHint: "ADDRESS", description: "Another URL, or another e-mail address" },
    enabled: { type: "string", valueHint: "on|off", description: "Whether it is told" },
    "new-secret": { type: "boolean", description: "Webhooks: another secret from now on" },
  },
  async run(session, args) {
    const { call, output } = session;
    const channel = await find(session, args.channel);
    const { address } = args;
    const target = address === undefined ? {} : channel.kind === "email" ? { email: address } : { url: address };
    const body = checked(routes.changeChannel.body, {
      ...(await readFilters(session, args)),
      ...target,
      ...(args.enabled !== undefined && { on: readSwitch("--enabled", args.enabled) }),
      ...(args["new-secret"] && { new_secret: true }),
    });
    if (Object.keys(body).length === 0) throw usageFailure("Nothing to change was given.", "See --help.");
    const answer = await call("changeChannel", { params: { channelId: channel.id }, body });
    output.document(answer);
    if (output.json) return;
    const told = answer.off === null ? `is told of: ${groupsHelp(answer.groups)}` : "is switched off";
    output.note(`Channel ${answer.name} (${answer.id}) ${told}.`);
    if (answer.secret === null) return;
    output.note("Its new secret is shown this once:");
    output.print(answer.secret);
  },
});

const remove = command({
  name: "remove",
  alias: "rm",
  description: "Take a channel away, with what still waits for it",
  args: channelArg,
  async run(session, args) {
    const { id, name } = await find(session, args.channel);
    await session.call("deleteChannel", { params: { channelId: id } });
    session.output.document({ removed: { id, name } });
    session.output.print(`Removed ${name} (${id}).`);
  },
});

const test = command({
  name: "test",
  description: "Send a test notice now, and show what was answered",
  args: channelArg,
  async run(session, args) {
    const { id, name } = await find(session, args.channel);
    const answer = await session.call("testChannel", { params: { channelId: id } });
    session.output.document(answer);
    if (answer.state !== "delivered") process.exitCode = 1;
    session.output.print(`${name}: ${deliveryWords(answer, session.now)}`);
  },
});

const deliveries = command({
  name: "deliveries",
  description: "What was told to a channel lately, and how it went",
  args: channelArg,
  async run(session, args) {
    const { id } = await find(session, args.channel);
    const answer = await session.call("listDeliveries", { params: { channelId: id } });
    session.output.document(answer);
    session.output.print(deliveryTable(answer.deliveries, session.now));
  },
});

export const channelCommand = defineCommand({
  meta: { name: "soneca channel", description: "Where you are told what happens" },
  subCommands: { list, add, set, remove, test, deliveries },
});
