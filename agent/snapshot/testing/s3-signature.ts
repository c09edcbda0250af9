/** Checks SigV4 as the specification says it, written apart from the library that signs. */
import { createHash, createHmac } from "node:crypto";

export interface SignedRequest {
  method: string;
  /** Path and query as they came. */
  target: string;
  /** Lower-case names. */
  headers: Record<string, string>;
}

const sha256 = (data: string | Buffer) => createHash("sha256").update(data).digest("hex");
const hmac = (key: string | Buffer, data: string) => createHmac("sha256", key).update(data).digest();

/** The signature that the request should have. `signedHeaders`: sorted, lower case. */
export function computeSignature(
  request: SignedRequest,
  scope: { date: string; region: string; service: string },
  signedHeaders: string[],
  secretAccessKey: string,
): string {
  const { method, target, headers } = request;
  const question = target.indexOf("?");
  const path = question < 0 ? target : target.slice(0, question);
  const canonical = [
    method,
    path.split("/").map(reencode).join("/"),
    canonicalQuery(question < 0 ? "" : target.slice(question + 1)),
    ...signedHeaders.map((name) => `${name}:${(headers[name] ?? "").trim().replace(/ +/g, " ")}`),
    "",
    signedHeaders.join(";"),
    headers["x-amz-content-sha256"] ?? "",
  ].join("\n");
  const { date, region, service } = scope;
  const toSign = [
    "AWS4-HMAC-SHA256",
    headers["x-amz-date"] ?? "",
    `${date}/${region}/${service}/aws4_request`,
    sha256(canonical),
  ].join("\n");
  const key = ["aws4_request", service, region, date].reduceRight<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
  return hmac(key as Buffer, toSign).toString("hex");
}

function canonicalQuery(query: string): string {
  if (query === "") return "";
  return query
    .split("&")
    .map((pair) => {
      const [name = "", value = ""] = pair.split("=");
      return `${reencode(name.replaceAll("+", " "))}=${reencode(value.replaceAll("+", " "))}`;
    })
    .sort()
    .join("&");
}

/** Everything but A-Z a-z 0-9 - . _ ~ as %XX of its UTF-8 bytes. */
function reencode(text: string): string {
  let out = "";
  for (const byte of Buffer.from(decodeURIComponent(text), "utf8")) {
    const char = String.fromCharCode(byte);
    out += /[A-Za-z0-9\-._~]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

export type Verified =
  | "ok"
  | "InvalidAccessKeyId"
  | "SignatureDoesNotMatch"
  | "AccessDenied"
  | "RequestTimeTooSkewed"
  | "AuthorizationHeaderMalformed";

/** `now`: epoch milliseconds. Refuses what is not signed as it must be: host, every x-amz-*, and the condition of a put. */
export function verifySignature(
  request: SignedRequest,
  keys: { accessKeyId: string; secretAccessKey: string; sessionToken?: string; region: string },
  now: number,
): Verified {
  const { headers } = request;
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, *SignedHeaders=([^,]+), *Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? "",
    );
  if (!match) return "AccessDenied";
  const [, accessKeyId, date, region, names, signature] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  if (accessKeyId !== keys.accessKeyId) return "InvalidAccessKeyId";
  if (region !== keys.region) return "AuthorizationHeaderMalformed";
  if ((headers["x-amz-security-token"] ?? undefined) !== keys.sessionToken) return "AccessDenied";
  const time = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(headers["x-amz-date"] ?? "");
  if (!time || !headers["x-amz-date"]?.startsWith(date)) return "AccessDenied";
  const [, year, month, day, hour, minute, second] = time.map(Number) as number[];
  if (Math.abs(Date.UTC(year!, month! - 1, day!, hour!, minute!, second!) - now) > 15 * 60_000)
    return "RequestTimeTooSkewed";
  const signedHeaders = names.split(";");
  const must = Object.keys(headers).filter((name) => name === "host" || name.startsWith("x-amz-"));
  if (must.some((name) => !signedHeaders.includes(name)) || signedHeaders.join() !== [...signedHeaders].sort().join())
    return "AccessDenied";
  const expected = computeSignature(request, { date, region, service: "s3" }, signedHeaders, keys.secretAccessKey);
  return expected === signature ? "ok" : "SignatureDoesNotMatch";
}
