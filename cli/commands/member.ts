/** `soneca member`: who is in your team, and what each may do. */
import { defineCommand } from "citty";
import { routes } from "../../core/protocol/api.ts";
import type { MemberView } from "../../core/protocol/team.ts";
import { command, type Session } from "../command.ts";
import { formatTable, formatTime } from "../format.ts";
import { pickOne } from "../pick.ts";
import { checked } from "../settings.ts";

const memberArg = {
  member: { type: "positional", required: true, description: "Id, beginning of an id, or name" },
} as const;

async function pick({ call }: Session, wanted: string): Promise<MemberView> {
  const { members } = await call("listMembers");
  const named = members.map((one) => ({ ...one, id: one.user_id }));
  return pickOne(named, wanted, { none: "Your team has no member", many: "members", listed: "soneca member list" });
}

const list = command({
  name: "list",
  alias: "ls",
  description: "Who is in your team",
  args: {},
  async run({ call, output, now }) {
    const answer = await call("listMembers");
    output.document(answer);
    const rows = answer.members.map((one) => [
      one.user_id,
      one.name,
      one.email ?? "",
      one.is_founder ? `${one.role}, for good` : one.role,
      formatTime(one.since, now),
    ]);
    output.print(formatTable(["ID", "NAME", "E-MAIL", "ROLE", "SINCE"], rows));
  },
});

const add = command({
  name: "add",
  description: "Take somebody into the team; without an e-mail they get a token, which is shown this once",
  args: {
    name: { type: "positional", required: true, description: "What the team calls them" },
    role: { type: "string", required: true, valueHint: "viewer|operator|owner", description: "What they may do" },
    email: { type: "string", valueHint: "ADDRESS", description: "They sign in with Cloudflare Access" },
  },
  async run({ call, output }, args) {
    const body = checked(routes.addMember.body, {
      name: args.name,
      role: args.role,
      ...(args.email !== undefined && { email: args.email }),
    });
    const answer = await call("addMember", { body });
    output.document(answer);
    if (output.json) return;
    if (answer.token === null) output.print(`${answer.name} (${answer.user_id}) may sign in as ${answer.email}.`);
    else {
      output.note(`${answer.name} (${answer.user_id}), ${answer.role}. Their first token is shown this once:`);
      output.print(answer.token);
    }
  },
});

const role = command({
  name: "role",
  description: "Give a member another role; their tokens may do no more from then on",
  args: {
    ...memberArg,
    role: { type: "positional", required: true, valueHint: "viewer|operator|owner", description: "What they may do" },
  },
  async run(session, args) {
    const body = checked(routes.changeMember.body, { role: args.role });
    const { user_id } = await pick(session, args.member);
    const answer = await session.call("changeMember", { params: { memberId: user_id }, body });
    session.output.document(answer);
    session.output.print(`${answer.name} is ${answer.role}.`);
  },
});

const remove = command({
  name: "remove",
  alias: "rm",
  description: "Take a member out of the team, with all of their tokens for it",
  args: memberArg,
  async run(session, args) {
    const { user_id, name } = await pick(session, args.member);
    await session.call("removeMember", { params: { memberId: user_id } });
    session.output.document({ removed: { user_id, name } });
    session.output.print(`${name} (${user_id}) is in the team no more.`);
  },
});

export const memberCommand = defineCommand({
  meta: { name: "soneca member", description: "Your team: its members and their roles" },
  subCommands: { list, add, role, remove },
});
