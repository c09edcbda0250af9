/** Signing in and out with a browser. */
import { AppError } from "../../core/protocol/errors.ts";
import { browserUser, isLocalAllowed, localUser, type Signed, sessionView, waysOf } from "../session/browser.ts";
import { cookieText, sessionLifeMs, signSession } from "../session/cookie.ts";
import { isOfThisOrigin, sharesItsOrigin } from "../session/own-origin.ts";
import { userOfToken } from "./auth.ts";
import type { App, AppContext } from "./context.ts";
import { mount } from "./mount.ts";

export function mountSession(app: App): void {
  mount(app, "getSession", async (c) => {
    const signed = await browserUser(c.req.raw, c.env);
    return sessionView(signed, waysOf(urlOf(c), c.env));
  });

  mount(app, "openSession", async (c, { body }) => {
    const url = urlOf(c);
    if (sharesItsOrigin(url, c.env)) throw new AppError("session_needs_own_origin");
    if (!isOfThisOrigin(c.req.raw)) throw new AppError("forbidden", { detail: "a page of another origin asks" });
    const { signed, tokenId } = await (body.token === undefined ? asLocalUser(c, url) : withToken(c, body.token));
    const expiresAt = signed.expiresAt ?? Date.now() + sessionLifeMs;
    const value = await signSession(c.env.AGENT_JWT_SECRET, { user: signed.user.id, tokenId, expiresAt });
    c.header("set-cookie", cookieText(value, expiresAt - Date.now(), url.protocol === "https:"));
    return sessionView({ ...signed, expiresAt }, waysOf(url, c.env));
  });

  mount(app, "closeSession", async (c) => {
    if (!isOfThisOrigin(c.req.raw)) throw new AppError("forbidden", { detail: "a page of another origin asks" });
    c.header("set-cookie", cookieText("", 0, urlOf(c).protocol === "https:"));
    return null;
  });
}

interface Opened {
  signed: Signed;
  tokenId: string | null;
}

/** Errors: unauthenticated. */
async function asLocalUser(c: AppContext, url: URL): Promise<Opened> {
  const user = isLocalAllowed(url, c.env) ? await localUser(c.env.DB) : null;
  if (!user) throw new AppError("unauthenticated");
  return { signed: { user, way: "local", expiresAt: null }, tokenId: null };
}

/** Errors: unauthenticated, token_expired, forbidden. */
async function withToken(c: AppContext, token: string): Promise<Opened> {
  const { tokenId, expiresAt: tokenEnds, ...user } = await userOfToken(c.env.DB, token);
  const longest = Date.now() + sessionLifeMs;
  const expiresAt = tokenEnds === null ? longest : Math.min(longest, Date.parse(tokenEnds));
  return { signed: { user, way: "token", expiresAt }, tokenId };
}

function urlOf(c: AppContext): URL {
  return new URL(c.req.url);
}
