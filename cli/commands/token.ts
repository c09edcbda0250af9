/** `soneca token` and `soneca whoami`: who asks, and with what. */
import { defineCommand } from "citty";
import { type AnswerOf, routes } from "../../core/protocol/api.ts";
import { command } from "../command.ts";
import { expiryWords, formatAge, formatFacts, formatTable, formatTime } from "../format.ts";
import { pickOne } from "../pick.ts";
import { checked, readNumber } from "../settings.ts";

export const whoamiCommand = command({
  name: "whoami",
  description: "Who your token belongs to, what it may do, and where it is asked",
  args: {},
  async run({ call, client, output, source }) {
    const me = await call("me");
    output.document({ ...me, url: client.url });
    output.print(
      formatFacts([
        ["User", `${me.name}  ${me.id}`],
        ["Team", me.team.id === me.id ? "your own" : `${me.team.name}  ${me.team.id}`],
        ["Role", me.team.role],
        ["Instances", me.instances === null ? null : me.instances.join(", ")],
        ["At", client.url],
        ["Found by", source],
      ]),
    );
  },
});

type Token = AnswerOf<"listTokens">["tokens"][number];

function tokenTable(tokens: Token[], now: number): string {
  const rows = tokens.map((one) => [
    one.id,
    one.name,
    one.user.name,
    one.role,
    one.instances === null ? "all" : one.instances.join(" "),
    formatTime(one.created_at, now),
    one.expires_at === null ? "never" : expiryWords(one.expires_at, now),
    formatAge(one.last_used_at, now),
  ]);
  return formatTable(["ID", "NAME", "OF", "ROLE", "INSTANCES", "CREATED", "EXPIRES", "LAST USED"], rows);
}

const list = command({
  name: "list",
  alias: "ls",
  description: "Your API tokens, without their secrets; an owner sees those of the whole team",
  args: {},
  async run({ call, output, now }) {
    const answer = await call("listTokens");
    output.document(answer);
    output.print(tokenTable(answer.tokens, now));
  },
});

const create = command({
  name: "create",
  description: "Create an API token for no more than you may do; its secret is shown this once",
  args: {
    name: { type: "positional", required: true, description: "What it is for" },
    expires: { type: "string", valueHint: "DAYS", description: "Days until it expires; never without" },
    role: { type: "string", valueHint: "viewer|operator|owner", description: "The most that it may do; yours without" },
    instance: { type: "string", valueHint: "ID", description: "Only this instance; may be repeated" },
    member: { type: "string", valueHint: "ID", description: "For this member of your team" },
  },
  async run({ call, output, now, all, resolve }, args) {
    const instances: string[] = [];
    for (const text of all("instance")) instances.push(await resolve(text));
    const body = checked(routes.createToken.body, {
      name: args.name,
      ...(args.expires !== undefined && { expires_in_days: readNumber("--expires", args.expires) }),
      ...(args.role !== undefined && { role: args.role }),
      ...(instances.length > 0 && { instances }),
      ...(args.member !== undefined && { user_id: args.member }),
    });
    const answer = await call("createToken", { body });
    output.document(answer);
    if (output.json) return;
    const until = answer.expires_at === null ? "never expires" : `expires ${formatTime(answer.expires_at, now)}`;
    const reach = answer.instances === null ? "" : `, for ${answer.instances.join(", ")} alone`;
    output.note(`Token ${answer.name} (${answer.id}), ${answer.role}${reach}, ${until}. It is shown this once:`);
    output.print(answer.token);
  },
});

const revoke = command({
  name: "revoke",
  description: "Revoke an API token; whoever uses it is locked out at once",
  args: { token_id: { type: "positional", required: true, description: "Id, beginning of an id, or name" } },
  async run({ call, output }, args) {
    const { tokens } = await call("listTokens");
    const words = { none: "You have no token", many: "tokens", listed: "soneca token list" };
    const token = pickOne(tokens, args.token_id, words);
    await call("revokeToken", { params: { tokenId: token.id } });
    output.document({ revoked: { id: token.id, name: token.name } });
    output.print(`Revoked ${token.name} (${token.id}).`);
  },
});

export const tokenCommand = defineCommand({
  meta: { name: "soneca token", description: "API tokens: what they may do, and when they were last used" },
  subCommands: { list, create, revoke },
});
