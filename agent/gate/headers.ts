/** Which headers pass the gate, as node's flat lists of names and values: what comes twice stays so. */
import { gateHeaders } from "../../core/protocol/gate.ts";
import { hopByHop } from "../../core/protocol/hop-by-hop.ts";

const ofOneLeg = new Set(hopByHop);

/** For the service: named as whoever asked names it, and with nothing that is the control plane's or its edge's. */
export function requestHeaders(raw: readonly string[], extra: readonly [string, string][] = []): string[] {
  const kept = pairsOf(raw).filter(([name]) => !/^(x-soneca|cf)-/i.test(name) && name.toLowerCase() !== "host");
  const find = (wanted: string) => pairsOf(raw).find(([name]) => name.toLowerCase() === wanted)?.[1];
  const host = find("x-forwarded-host") ?? find("host") ?? "localhost";
  return [["Host", host], ...withoutHops(kept), ...extra].flat();
}

export function responseHeaders(raw: readonly string[], extra: readonly [string, string][] = []): string[] {
  const own = [gateHeaders.error, gateHeaders.pipe] as string[];
  const kept = pairsOf(raw).filter(([name]) => !own.includes(name.toLowerCase()));
  return [...withoutHops(kept), ...extra].flat();
}

function withoutHops(pairs: [string, string][]): [string, string][] {
  const named = pairs
    .filter(([name]) => name.toLowerCase() === "connection")
    .flatMap(([, value]) => value.toLowerCase().split(","))
    .map((name) => name.trim());
  return pairs.filter(([name]) => !ofOneLeg.has(name.toLowerCase()) && !named.includes(name.toLowerCase()));
}

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) pairs.push([raw[i]!, raw[i + 1]!]);
  return pairs;
}
