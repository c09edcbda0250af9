/** Examples of the routes of who asks: teams, their members, tokens and key, and the sessions of a browser. */
import type { AnswerOf } from "../../../core/protocol/api.ts";
import type { ProviderKeyView } from "../../../core/protocol/provider-key.ts";
import type { SessionView } from "../../../core/protocol/session.ts";
import type { MemberView } from "../../../core/protocol/team.ts";
import type { Examples } from "./example.ts";

const team = { id: "u-w6cekeftay", name: "Ana", role: "owner" } as const;
const member: MemberView = {
  user_id: "u-7d2qv5xkra",
  name: "Rui",
  email: null,
  role: "operator",
  is_founder: false,
  since: "2026-11-29T17:42:00.000Z",
};

const token: AnswerOf<"listTokens">["tokens"][number] = {
  id: "bb35f65c-883d-4624-8ff9-057a0eaa8197",
  name: "first token",
  user: { id: "u-w6cekeftay", name: "Ana" },
  role: "owner",
  instances: null,
  created_at: "2026-11-29T17:41:00.000Z",
  expires_at: null,
  last_used_at: "2026-11-29T17:47:20.000Z",
};

const providerKey: ProviderKeyView = {
  hint: "T-AI",
  created_at: "2026-11-29T17:43:00.000Z",
  last_used_at: "2026-11-29T17:43:00.000Z",
  trouble: null,
};

const session: SessionView = {
  user: { id: "u-w6cekeftay", name: "Ana" },
  team,
  may: ["me", "listInstances", "wakeInstance"],
  teams: [],
  way: "token",
  expires_at: "2026-12-29T17:47:20.000Z",
  ways: ["token"],
};

export const accountExamples: Examples = {
  me: {
    answer: { id: "u-w6cekeftay", name: "Ana", team, instances: null, may: ["me", "listInstances", "wakeInstance"] },
  },
  listTokens: { answer: { tokens: [token] } },
  createToken: {
    body: { name: "ci", role: "operator", instances: ["i-k3v7q2m4xa"], expires_in_days: 90 },
    answer: {
      ...token,
      id: "71124fd7-393e-4efc-a495-62a715a71354",
      name: "ci",
      role: "operator",
      instances: ["i-k3v7q2m4xa"],
      created_at: "2026-11-29T17:42:10.000Z",
      expires_at: "2027-02-27T17:42:10.000Z",
      last_used_at: null,
      token: "snu_EXAMPLE",
    },
  },
  listMembers: {
    answer: {
      members: [{ ...member, user_id: "u-w6cekeftay", name: "Ana", role: "owner", is_founder: true }, member],
    },
  },
  addMember: { body: { name: "Rui", role: "operator" }, answer: { ...member, token: "snu_EXAMPLE" } },
  changeMember: { body: { role: "viewer" }, answer: { ...member, role: "viewer" } },
  getProviderKey: { answer: { key: providerKey } },
  setProviderKey: { body: { key: "EXAMPLE-KEY-OF-VAST-AI" }, answer: { key: providerKey } },
  testProviderKey: { body: {}, answer: { machines: 3, managed: 2 } },
  listAudit: {
    answer: {
      lines: [
        {
          id: 1042,
          at: "2026-11-29T17:46:02.000Z",
          actor: "user:u-7d2qv5xkra",
          name: "Rui",
          token_id: "71124fd7-393e-4efc-a495-62a715a71354",
          role: "operator",
          operation: "wakeInstance",
          instance_id: "i-k3v7q2m4xa",
          target: null,
          status: 202,
          code: null,
          request_id: "1b4e28ba-2fa1-4d2f-883f-0016d3cca427",
          origin: "cli",
        },
      ],
      next_before: 1042,
    },
  },
  getSession: { answer: session },
  openSession: { body: { token: "snu_EXAMPLE" }, answer: session },
  chooseTeam: {
    body: { team: "u-w6cekeftay" },
    answer: { ...session, way: "access", teams: [team], expires_at: null, ways: ["access", "token"] },
  },
};
