/**
 * One example of each body and each answer, as /api/openapi.json shows them: one instance, on one day. That they fit the
 * contract is checked by the compiler and by a test.
 */
import type { RouteName } from "../../core/protocol/api.ts";
import { accountExamples } from "./examples/account.ts";
import { deploymentExamples } from "./examples/deployment.ts";
import type { Examples } from "./examples/example.ts";
import { historyExamples } from "./examples/history.ts";
import { instanceExamples } from "./examples/instances.ts";
import { moneyExamples } from "./examples/money.ts";
import { noticeExamples } from "./examples/notices.ts";
import { offerExamples } from "./examples/offers.ts";
import { settingExamples } from "./examples/settings.ts";
import { snapshotExamples } from "./examples/snapshots.ts";

export const parameterExamples: Record<string, { schema: object; description: string; example: unknown }> = {
  id: {
    schema: { type: "string", pattern: "^i-[a-z2-7]{10}$" },
    description: "An instance.",
    example: "i-k3v7q2m4xa",
  },
  seq: { schema: { type: "integer", minimum: 1 }, description: "The number of one of its snapshots.", example: 4 },
  tokenId: {
    schema: { type: "string" },
    description: "As the list of tokens says it.",
    example: "bb35f65c-883d-4624-8ff9-057a0eaa8197",
  },
  memberId: {
    schema: { type: "string", pattern: "^u-[a-z2-7]{10}$" },
    description: "A member of the team, by the id of the user.",
    example: "u-7d2qv5xkra",
  },
  keyId: {
    schema: { type: "string" },
    description: "As the list of keys says it.",
    example: "a14dae7f-7502-4a5a-87f5-0c96a4d0e9b1",
  },
  channelId: {
    schema: { type: "string" },
    description: "As the list of channels says it.",
    example: "ch-m4xaq2k3v7",
  },
};

const examples: Examples = {
  ...instanceExamples,
  ...offerExamples,
  ...settingExamples,
  ...snapshotExamples,
  ...historyExamples,
  ...moneyExamples,
  ...noticeExamples,
  ...accountExamples,
  ...deploymentExamples,
};

export function exampleOf(name: RouteName): { body?: unknown; answer?: unknown } {
  return examples[name] ?? {};
}
