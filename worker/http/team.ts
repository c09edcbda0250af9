/** The routes of people: users, the members of a team, their tokens, and what they changed. */
import { AppError } from "../../core/protocol/errors.ts";
import { listAudit } from "../db/audit.ts";
import { addMember, changeMember, createUser, listMembers, removeMember, teamName } from "../db/members.ts";
import { createToken, listTokens, revokeToken } from "../db/tokens.ts";
import { operationsOf } from "../may.ts";
import { accessSettings } from "../session/access.ts";
import { type App, type AppContext, askerOf, teamOf } from "./context.ts";
import { mount } from "./mount.ts";

export function mountTeam(app: App): void {
  mount(app, "createUser", async (c, { body }) => {
    const { id, name, token } = await createUser(c.env.DB, body.name);
    c.set("concerns", id);
    return { user: { id, name }, token };
  });

  mount(app, "me", async (c) => {
    const asker = askerOf(c);
    const { user, team, role, name, instances } = asker;
    const teamView = { id: team, name: await teamName(c.env.DB, team), role };
    return { id: user, name, team: teamView, instances: instances && [...instances], may: operationsOf(asker) };
  });

  mount(app, "listTokens", async (c) => ({ tokens: await listTokens(c.env.DB, askerOf(c)) }));
  mount(app, "createToken", (c, { body }) => createToken(c.env.DB, askerOf(c), body));
  mount(app, "revokeToken", async (c) => {
    const found = await revokeToken(c.env.DB, askerOf(c), c.req.param("tokenId") ?? "");
    if (!found) throw new AppError("object_not_found");
    return null;
  });

  mount(app, "listMembers", async (c) => ({ members: await listMembers(c.env.DB, teamOf(c)) }));
  mount(app, "addMember", async (c, { body }) => {
    if (body.email !== undefined && !accessSettings(c.env)) {
      const message = "Cloudflare Access is not set up here; without an e-mail they get a token";
      throw new AppError("invalid_input", { issues: [{ path: "email", message }] });
    }
    return addMember(c.env.DB, teamOf(c), body);
  });
  mount(app, "changeMember", (c, { body }) => changeMember(c.env.DB, teamOf(c), memberOf(c), body.role));
  mount(app, "removeMember", async (c) => {
    await removeMember(c.env.DB, teamOf(c), memberOf(c));
    return null;
  });

  mount(app, "listAudit", (c, { query }) => listAudit(c.env.DB, teamOf(c), query));
}

function memberOf(c: AppContext): string {
  return c.req.param("memberId") ?? "";
}
