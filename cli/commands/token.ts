/** `soneca token` and `soneca whoami`: who asks, and with what. */
import { defineCommand } from "citty";
import { routes } from "../../core/protocol/api.ts";
import { command } from "../command.ts";
import { expiryWords, formatFacts, formatTable, formatTime } from "../format.ts";
import { pickOne } from "../pick.ts";
import { checked, readNumber } from "../settings.ts";

export const whoamiCommand = command({
  name: "whoami",
  description: "Who your token belongs to, and where it is asked",
  args: {},
  async run({ call, client, output, source }) {
    const me = await call("me");
    output.document({ ...me, url: client.url });
    output.print(
      formatFacts([
        ["User", `${me.name}  ${me.id}`],
        ["At", client.url],
        ["Found by", source],
      ]),
    );
  },
});

const list = command({
  name: "list",
  alias: "ls",
  description: "Your API tokens, without their secrets",
  args: {},
  async run({ call, output, now }) {
    const answer = await call("listTokens");
    output.document(answer);
    output.print(
      formatTable(
        ["ID", "NAME", "CREATED", "EXPIRES"],
        answer.tokens.map((one) => [
          one.id,
          one.name,
          formatTime(one.created_at, now),
          one.expires_at === null ? "never" : expiryWords(one.expires_at, now),
        ]),
      ),
    );
  },
});

const create = command({
  name: "create",
  description: "Create an API token; its secret is shown this once",
  args: {
    name: { type: "positional", required: true, description: "What it is for" },
    expires: { type: "string", valueHint: "DAYS", description: "Days until it expires; never without" },
  },
  async run({ call, output, now }, args) {
    const days = args.expires === undefined ? undefined : readNumber("--expires", args.expires);
    const body = checked(routes.createToken.body, { name: args.name, expires_in_days: days });
    const answer = await call("createToken", { body });
    output.document(answer);
    if (output.json) return;
    const until = answer.expires_at === null ? "never expires" : `expires ${formatTime(answer.expires_at, now)}`;
    output.note(`Token ${answer.name} (${answer.id}), ${until}. It is shown this once:`);
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
  meta: { name: "soneca token", description: "Your API tokens" },
  subCommands: { list, create, revoke },
});
