/** A rate as people write it: `5,42`, `5.42`, `R$ 5,42`. It is the reader's own; nobody looks one up. */

export type Rate = { kind: "none" } | { kind: "wrong" } | { kind: "rate"; value: number };

export function parseRate(text: string): Rate {
  const trimmed = text.replace(/^\s*R\$/i, "").trim();
  if (trimmed === "") return { kind: "none" };
  if (!/^\d{1,3}([.,]\d{1,6})?$/.test(trimmed)) return { kind: "wrong" };
  const value = Number(trimmed.replace(",", "."));
  return value > 0 ? { kind: "rate", value } : { kind: "wrong" };
}
