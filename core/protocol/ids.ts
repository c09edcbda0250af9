/** Identifiers, their spelling and their parsing. Nothing else in the product builds or cuts these strings. */

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** `i-` and ten characters of a-z2-7: fits in one DNS label, `i-k3v7q2m4xa.example.com`. */
export type InstanceId = Branded<string, "InstanceId">;
/** `u-` and ten characters of a-z2-7. */
export type UserId = Branded<string, "UserId">;
/** 64 lower-case hex digits. */
export type Sha256Hex = Branded<string, "Sha256Hex">;

const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
const idPattern = /^[iu]-[a-z2-7]{10}$/;
/** How many random bytes newInstanceId and newUserId want. */
export const idRandomBytes = 10;

/** `random`: at least 10 bytes from a secure source. */
export function newInstanceId(random: Uint8Array): InstanceId {
  return `i-${letters(random)}` as InstanceId;
}

export function newUserId(random: Uint8Array): UserId {
  return `u-${letters(random)}` as UserId;
}

/** `ch-` and ten characters of a-z2-7. */
export function newChannelId(random: Uint8Array): string {
  return `ch-${letters(random)}`;
}

export function isInstanceId(text: unknown): text is InstanceId {
  return typeof text === "string" && text.startsWith("i-") && idPattern.test(text);
}

export function isUserId(text: unknown): text is UserId {
  return typeof text === "string" && text.startsWith("u-") && idPattern.test(text);
}

export function isSha256Hex(text: unknown): text is Sha256Hex {
  return typeof text === "string" && /^[0-9a-f]{64}$/.test(text);
}

/** The provider label of a machine: `soneca:<instance>:<epoch>`, the idempotency key of its rental. */
export function machineLabel(instance: InstanceId, epoch: number): string {
  return `soneca:${instance}:${epoch}`;
}

/** Null for every label that is not exactly ours: such machines are never touched. */
export function parseMachineLabel(label: string | null | undefined): { instance: InstanceId; epoch: number } | null {
  const match = /^soneca:(i-[a-z2-7]{10}):([1-9][0-9]{0,8})$/.exec(label ?? "");
  if (!match?.[1] || !match[2]) return null;
  return { instance: match[1] as InstanceId, epoch: Number(match[2]) };
}

/** `ID@SEQ`: names one snapshot everywhere, in the API, in the events and on the command line. */
export function snapshotId(instance: string, seq: number): string {
  return `${instance}@${seq}`;
}

function letters(random: Uint8Array): string {
  let text = "";
  for (let i = 0; i < idRandomBytes; i++) text += alphabet[(random[i] ?? 0) & 31];
  return text;
}
