/** Signing in and out with a browser. */
import { AppError } from "../../core/protocol/errors.ts";
import { askerOfToken } from "../db/tokens.ts";
import { operationsOf } from "../may.ts";
import { browserUser, isLocalAllowed, localUser, type Signed, sessionView, waysOf } from "../session/browser.ts";
import { cookieText, sessionLifeMs, signSession, teamCookieName } from "../session/cookie.ts";
import { isOfThisOrigin, sharesItsOrigin } from "../session/own-origin.ts";
import { noteUse } from "./auth.ts";
import type { App, AppContext } from "./context.ts";
import { mount } from "./mount.ts";

export function mountSession(app: App): void {
  mount(app, "getSession", async (c) => {
    return view(c, await browserUser(c.req.raw, c.env));
  });

  mount(app, "openSession", async (c, { body }) => {
    const url = urlOf(c);
    if (sharesItsOrigin(url, c.env)) throw new AppError("session_needs_own_origin");
    if (!isOfThisOrigin(c.req.raw)) throw new AppError("forbidden", { detail: "a page of another origin asks" });
    const signed = await (body.token === undefined ? asLocalUser(c, url) : withToken(c, body.token));
    const expiresAt = signed.expiresAt ?? Date.now() + sessionLifeMs;
    const { user, tokenId } = signed.asker;
    const value = await signSession(c.env.AGENT_JWT_SECRET, { user, tokenId, expiresAt });
    c.header("set-cookie", cookieText(value, expiresAt - Date.now(), url.protocol === "https:"));
    c.set("asker", signed.asker);
    noteUse(c, signed);
    return view(c, { ...signed, expiresAt });
  });

  mount(app, "chooseTeam", async (c, { body }) => {
    const signed = await browserUser(c.req.raw, c.env);
    if (signed?.way !== "access") throw new AppError("forbidden", { detail: "its token says which team it is for" });
    const headers = new Headers(c.req.raw.headers);
    headers.set("cookie", `${teamCookieName}=${body.team}`);
    const chosen = await browserUser(new Request(c.req.raw.url, { headers }), c.env);
    if (chosen?.asker.team !== body.team) throw new AppError("object_not_found");
    const isSecure = urlOf(c).protocol === "https:";
    c.header("set-cookie", cookieText(body.team, sessionLifeMs, isSecure, teamCookieName));
    return view(c, chosen);
  });

  mount(app, "closeSession", async (c) => {
    if (!isOfThisOrigin(c.req.raw)) throw new AppError("forbidden", { detail: "a page of another origin asks" });
    c.header("set-cookie", cookieText("", 0, urlOf(c).protocol === "https:"));
    return null;
  });
}

/** Errors: unauthenticated. */
async function asLocalUser(c: AppContext, url: URL): Promise<Signed> {
  const asker = isLocalAllowed(url, c.env) ? await localUser(c.env.DB) : null;
  if (!asker) throw new AppError("unauthenticated");
  return { asker, way: "local", expiresAt: null, isUseOld: false };
}

/** Errors: unauthenticated, token_expired, forbidden. */
async function withToken(c: AppContext, token: string): Promise<Signed> {
  const { isUseOld, ...asker } = await askerOfToken(c.env.DB, token);
  const longest = Date.now() + sessionLifeMs;
  const expiresAt = asker.tokenEndsAt === null ? longest : Math.min(longest, asker.tokenEndsAt);
  return { asker, way: "token", expiresAt, isUseOld };
}

function view(c: AppContext, signed: Signed | null) {
  return sessionView(c.env.DB, signed, waysOf(urlOf(c), c.env), operationsOf);
}

function urlOf(c: AppContext): URL {
  return new URL(c.req.url);
}
