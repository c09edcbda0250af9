/**
 * The Node for machines that reach nothing but the control plane: the two tarballs whose sums are known, and no other
 * file, passed through from the mirror. What comes is checked by whoever asked, so nothing is here.
 */
import { AppError } from "../../core/protocol/errors.ts";
import { nodeMirror, nodeMirrorPath, nodeRelease, nodeTarballPath } from "../../core/protocol/node-release.ts";
import type { App } from "./context.ts";

/** Until the mirror answers; its body may take longer. */
const timeoutMs = 15_000;
const files = Object.keys(nodeRelease.sha256).map((arch) => nodeTarballPath(arch)!);

export function mountNodeMirror(app: App): void {
  app.get(`${nodeMirrorPath}/:version/:file`, async (c) => {
    const { version, file } = c.req.param();
    const path = `${version}/${file}`;
    if (!files.includes(path)) throw new AppError("route_not_found");
    const from = `${(c.env.NODE_MIRROR || nodeMirror).replace(/\/+$/, "")}/${path}`;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), timeoutMs);
    try {
      const answer = await fetch(from, {
        method: c.req.method,
        signal: limit.signal,
        // The name holds the version: what is at it never changes.
        cf: { cacheEverything: true, cacheTtlByStatus: { "200-299": 30 * 86_400, "300-599": 0 } },
      });
      if (!answer.ok) throw new AppError("node_unavailable", { detail: `the mirror answered ${answer.status}` });
      const headers = new Headers({ "content-type": "application/gzip", "cache-control": "public, max-age=86400" });
      const length = answer.headers.get("content-length");
      if (length) headers.set("content-length", length);
      return new Response(answer.body, { headers });
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError("node_unavailable", {}, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  });
}
