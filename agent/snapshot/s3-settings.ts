/** Where an S3 store is and who asks, from its URL and the variables that every S3 tool reads. */
import { StoreError } from "../../core/snapshot/store.ts";

export interface S3Settings {
  bucket: string;
  /** In front of every key: "" or ends with "/". */
  prefix: string;
  /** The server's address without a path's end: `https://s3.eu-central-1.amazonaws.com`. */
  endpoint: string;
  /** `https://server/bucket/key`, not `https://bucket.server/key`. */
  isPathStyle: boolean;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string | undefined;
}

const bucketPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$/;

/** `url`: `s3://bucket` or `s3://bucket/prefix`. Errors: StoreError `settings_invalid`, with words for the user. */
export function readS3Settings(url: string, env: Record<string, string | undefined>): S3Settings {
  const invalid = (detail: string) => new StoreError("settings_invalid", { detail });
  const match = /^s3:\/\/([^/]*)(?:\/(.*))?$/.exec(url);
  const bucket = match?.[1] ?? "";
  if (!bucketPattern.test(bucket)) throw invalid(`${url} does not name a bucket; an S3 store is s3://BUCKET/PREFIX`);
  const path = (match?.[2] ?? "").replace(/\/+$/, "");
  if (path.split("/").some((name) => name === "." || name === "..") || path.includes("//"))
    throw invalid(`the prefix ${path} has an empty name, "." or ".." in it`);

  const accessKeyId = env.AWS_ACCESS_KEY_ID ?? "";
  const secretAccessKey = env.AWS_SECRET_ACCESS_KEY ?? "";
  const missing = [
    ...(accessKeyId === "" ? ["AWS_ACCESS_KEY_ID"] : []),
    ...(secretAccessKey === "" ? ["AWS_SECRET_ACCESS_KEY"] : []),
  ];
  if (missing.length > 0) throw invalid(`${missing.join(" and ")} must be set for an s3:// store`);

  const given = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || "";
  if (given !== "" && !isHttpUrl(given)) throw invalid(`the endpoint ${given} is not an http:// or https:// address`);
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || (given.includes(".r2.") ? "auto" : "us-east-1");
  const style = env.SONECA_S3_STYLE ?? "";
  if (!["", "path", "virtual"].includes(style)) throw invalid('SONECA_S3_STYLE is "path" or "virtual"');
  return {
    bucket,
    prefix: path === "" ? "" : `${path}/`,
    endpoint: given === "" ? `https://s3.${region}.${awsDomain(region)}` : given.replace(/\/+$/, ""),
    // A bucket with a dot has no certificate as a host's name.
    isPathStyle: style === "" ? given !== "" || bucket.includes(".") : style === "path",
    region,
    accessKeyId,
    secretAccessKey,
    sessionToken: env.AWS_SESSION_TOKEN || undefined,
  };
}

function awsDomain(region: string): string {
  return region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

function isHttpUrl(text: string): boolean {
  return /^https?:$/.test(URL.parse(text)?.protocol ?? "");
}

/** The bucket's own address, without an end "/". */
export function bucketUrl({ endpoint, bucket, isPathStyle }: S3Settings): string {
  return isPathStyle ? `${endpoint}/${bucket}` : endpoint.replace("://", `://${bucket}.`);
}
