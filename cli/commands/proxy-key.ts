/** `soneca instance key`: who may use an instance's services without being its owner. */
import { defineCommand } from "citty";
import { routes } from "../../core/protocol/api.ts";
import { command, idArg } from "../command.ts";
import { expiryWords, formatTable, formatTime } from "../format.ts";
import { pickOne } from "../pick.ts";
import { checked, readNumber } from "../settings.ts";

const list = command({
  name: "list",
  alias: "ls",
  description: "Keys to its services, without their secrets",
  args: idArg,
  async run({ call, resolve, output, now }, args) {
    const answer = await call("listProxyKeys", { params: { id: await resolve(args.id) } });
    output.document(answer);
    const rows = answer.keys.map((one) => [
      one.id,
      one.name,
      one.wakes_per_hour === null ? "as the instance" : String(one.wakes_per_hour),
      formatTime(one.created_at, now),
      one.expires_at === null ? "never" : expiryWords(one.expires_at, now),
    ]);
    output.print(formatTable(["ID", "NAME", "WAKES AN HOUR", "CREATED", "EXPIRES"], rows));
  },
});

const create = command({
  name: "create",
  description: "Create a key to its services and to nothing else; it is shown this once",
  args: {
    ...idArg,
    name: { type: "positional", required: true, description: "Who or what it is for" },
    expires: { type: "string", valueHint: "DAYS", description: "Days until it expires; never without" },
    "wakes-per-hour": { type: "string", valueHint: "N", description: "Machines that it may start within any hour" },
  },
  async run({ call, resolve, output, now }, args) {
    const number = (name: string, text: string | undefined) =>
      text === undefined ? undefined : readNumber(name, text);
    const body = checked(routes.createProxyKey.body, {
      name: args.name,
      expires_in_days: number("--expires", args.expires),
      wakes_per_hour: number("--wakes-per-hour", args["wakes-per-hour"]),
    });
    const params = { id: await resolve(args.id) };
    const answer = await call("createProxyKey", { params, body });
    output.document(answer);
    if (output.json) return;
    const { proxy } = await call("getInstance", { params });
    const until = answer.expires_at === null ? "never expires" : `expires ${formatTime(answer.expires_at, now)}`;
    output.note(`Key ${answer.name} (${answer.id}) to ${proxy.url}, ${until}. It is shown this once:`);
    output.print(answer.key);
  },
});

const revoke = command({
  name: "revoke",
  description: "Revoke a key; within half a minute nobody passes with it",
  args: { ...idArg, key: { type: "positional", required: true, description: "Id, beginning of an id, or name" } },
  async run({ call, resolve, output }, args) {
    const params = { id: await resolve(args.id) };
    const { keys } = await call("listProxyKeys", { params });
    const words = { none: "It has no key", many: "keys", listed: "soneca instance key list" };
    const key = pickOne(keys, args.key, words);
    await call("revokeProxyKey", { params: { ...params, keyId: key.id } });
    output.document({ revoked: { id: key.id, name: key.name } });
    output.print(`Revoked ${key.name} (${key.id}).`);
  },
});

export const proxyKeyCommand = defineCommand({
  meta: { name: "soneca instance key", description: "Keys to an instance's services" },
  subCommands: { list, create, revoke },
});
