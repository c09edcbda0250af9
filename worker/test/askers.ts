/** Every kind of asker, and what each route must say to it: made from what the route's row says, not written down by hand. */
import { env } from "cloudflare:workers";
import { SignJWT } from "jose";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { isAtLeast, type Role } from "../../core/protocol/roles.ts";
import type { Route } from "../../core/protocol/route.ts";
import { signAgentToken } from "../tokens.ts";
import { adminToken, api, type FakeAgent, metricsToken, type TestUser } from "./helpers.ts";

/** What the askers are made for, as it is at that moment. */
export interface Around {
  owner: TestUser;
  other: TestUser;
  instance(): InstanceId;
  agent(): FakeAgent;
  foreignAgent: FakeAgent;
}

export interface TestAsker {
  token(): Promise<string | null> | string | null;
  /** `ok` is the route's own answer. */
  says(route: Route): string;
  /** Set for members of the team with a plain token. */
  role?: Role;
}

interface Person {
  role: Role;
  /** In the team whose instance it is. */
  isOfTeam?: boolean;
  reaches?: "all" | "this" | "another";
}

/** The route's answer to a user token of this kind. */
function personSays({ role, isOfTeam = true, reaches = "all" }: Person, route: Route): string {
  if (route.principal === "public") return "ok";
  if (route.principal !== "user") return "403 forbidden";
  const isOfInstance = route.path.includes("/:id");
  if (isOfInstance && reaches === "another") return "404 instance_not_found";
  if (!isOfInstance && route.reach === undefined && reaches !== "all") return "403 token_too_narrow";
  if (!isAtLeast(role, route.role)) return "403 role_too_low";
  if (isOfTeam) return "ok";
  if (isOfInstance) return "404 instance_not_found";
  return /:\w+/.test(route.path) ? "404 object_not_found" : "ok";
}

function refused(user: string, admin: string, agent: string): (route: Route) => string {
  // A metrics token opens what the admin token opens, there alone.
  return ({ principal }) => ({ public: "ok", user, admin, metrics: admin, agent })[principal];
}

/** Members of the owner's team, and tokens of the owner that may do less. */
async function people(around: Around): Promise<Record<string, TestAsker>> {
  const { owner, other } = around;
  const member = async (role: Role) => {
    const json = { name: `the ${role}`, role };
    const made = await api<{ token: string }>("POST", "/api/members", { token: owner.token, json });
    return made.body.token;
  };
  const token = async (name: string, json: object = {}) => {
    const made = await api<{ id: string; token: string }>("POST", "/api/tokens", {
      token: owner.token,
      json: { name, ...json },
    });
    return made.body;
  };
  const [viewer, operator, second] = [await member("viewer"), await member("operator"), await member("owner")];
  const [less, narrow, elsewhere, over] = [
    await token("less", { role: "viewer" }),
    await token("narrow"),
    await token("elsewhere"),
    await token("over"),
  ];
  const setRow = (id: string, column: string, value: string) =>
    env.DB.prepare(`UPDATE api_tokens SET ${column} = ? WHERE id = ?`).bind(value, id).run();
  await setRow(elsewhere.id, "instances", '["i-aaaaaaaaaa"]');
  await setRow(over.id, "expires_at", new Date(Date.now() - 1000).toISOString());
  const person = (its: string, kind: Person): TestAsker => ({
    token: () => its,
    says: (route) => personSays(kind, route),
  });
  return {
    viewer: { ...person(viewer, { role: "viewer" }), role: "viewer" },
    operator: { ...person(operator, { role: "operator" }), role: "operator" },
    "second owner": { ...person(second, { role: "owner" }), role: "owner" },
    owner: person(owner.token, { role: "owner" }),
    "owner with a viewer's token": person(less.token, { role: "viewer" }),
    "owner with a token of this instance": {
      ...person(narrow.token, { role: "owner", reaches: "this" }),
      token: async () => {
        await setRow(narrow.id, "instances", JSON.stringify([around.instance()]));
        return narrow.token;
      },
    },
    "owner with a token of another instance": person(elsewhere.token, { role: "owner", reaches: "another" }),
    "owner with a token that is over": {
      token: () => over.token,
      says: refused("401 token_expired", "403 forbidden", "403 forbidden"),
    },
    "other user": person(other.token, { role: "owner", isOfTeam: false }),
  };
}

const inSeconds = () => Math.floor(Date.now() / 1000);
const base64 = (value: object) => btoa(JSON.stringify(value)).replaceAll("=", "");

/** Machines, real and made up. */
function machines({ instance, agent, foreignAgent }: Around): Record<string, TestAsker> {
  const claims = () => ({ epoch: agent().epoch, iss: "soneca", aud: "soneca-agent", sub: instance() });
  const signed = (secret: string, change: object = {}, livesForS = 3600) =>
    new SignJWT({ ...claims(), ...change })
      .setProtectedHeader({ alg: "HS256" })
      .setIssuedAt(inSeconds() - 7200)
      .setExpirationTime(inSeconds() + livesForS)
      .sign(new TextEncoder().encode(secret));
  const ofEpoch = (step: number) => signAgentToken(env.AGENT_JWT_SECRET, instance(), agent().epoch + step, Date.now());
  const machine = (token: TestAsker["token"], said: string): TestAsker => ({
    token,
    says: refused("403 forbidden", "401 unauthenticated", said),
  });
  return {
    "its own agent": machine(() => agent().token, "ok"),
    "agent of another instance": machine(() => foreignAgent.token, "403 forbidden"),
    "agent of an older epoch": machine(() => ofEpoch(-1), "403 epoch_fenced"),
    "agent of an epoch to come": machine(() => ofEpoch(1), "403 epoch_fenced"),
    "expired agent": machine(() => signed(env.AGENT_JWT_SECRET, {}, -1), "401 token_expired"),
    "agent signed by another secret": machine(
      () => signed("another-secret-of-at-least-32-characters!!"),
      "401 unauthenticated",
    ),
    "agent for another audience": machine(
      () => signed(env.AGENT_JWT_SECRET, { aud: "somebody-else" }),
      "401 unauthenticated",
    ),
    "agent without an epoch": machine(() => signed(env.AGENT_JWT_SECRET, { epoch: undefined }), "401 unauthenticated"),
    "alg none": machine(
      () => `${base64({ alg: "none" })}.${base64({ ...claims(), exp: inSeconds() + 3600 })}.`,
      "401 unauthenticated",
    ),
  };
}

export async function makeAskers(around: Around): Promise<Record<string, TestAsker>> {
  const key = await api<{ key: string }>("POST", `/api/instances/${around.instance()}/proxy-keys`, {
    token: around.owner.token,
    json: { name: "app" },
  });
  const nobody = refused("401 unauthenticated", "401 unauthenticated", "401 unauthenticated");
  return {
    none: { token: () => null, says: nobody },
    garbage: { token: () => "garbage", says: nobody },
    "proxy key": { token: () => key.body.key, says: nobody },
    "unknown user token": {
      token: () => "snu_unknown",
      says: refused("401 unauthenticated", "403 forbidden", "403 forbidden"),
    },
    metrics: { token: () => metricsToken, says: (route) => (route.principal === "metrics" ? "ok" : nobody(route)) },
    admin: { token: () => adminToken, says: refused("401 unauthenticated", "ok", "401 unauthenticated") },
    ...(await people(around)),
    ...machines(around),
  };
}
