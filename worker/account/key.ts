/**
 * The key that an account object asks the provider with: the deployment's own, or a team's, sealed in D1. What D1 said last is
 * kept beside the object, sealed as well: a machine can be ended while D1 does not answer.
 */
import { AppError } from "../../core/protocol/errors.ts";
import { deploymentAccount, keyOfAccount, keyPurpose, updateKey } from "../db/provider-keys.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";
import type { ProviderFailure } from "../providers/provider.ts";
import { openSecret } from "../sealed.ts";

const freshMs = 60_000;
const answerWithinMs = 3_000;
/** The time of last use, and the same trouble, are written at most once in so long. */
const notedEveryMs = 600_000;

type Known = { ok: true; key: string; isRetired: boolean };
export type KeyAnswer = Known | ProviderFailure;

interface Kept {
  sealed: string;
  isRetired: boolean;
}

export class AccountKey {
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly #account: string;
  #known: (Known & { at: number }) | null = null;
  #noted: { at: number; trouble: string | null } | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    this.#ctx = ctx;
    this.#env = env;
    // The name says whose money it spends: it is never guessed.
    if (ctx.id.name === undefined) throw new Error("an account object without a name");
    this.#account = ctx.id.name;
  }

  get account(): string {
    return this.#account;
  }

  /** It was changed: what is known of it counts no more. */
  forget(): void {
    this.#known = null;
    this.#noted = null;
  }

  /** A key that cannot be read is a provider that cannot be asked now, and never an account without machines. */
  async read(): Promise<KeyAnswer> {
    if (this.#account === deploymentAccount) {
      const key = this.#env.VAST_API_KEY;
      return key ? { ok: true, key, isRetired: false } : failure("provider_auth", "the deployment has no key");
    }
    const known = this.#known;
    if (known && Date.now() - known.at < freshMs) return known;
    try {
      const kept = await this.#look();
      if (!kept) return failure("provider_auth", "the key was taken away");
      const key = await openSecret(this.#env, keyPurpose(this.#account), kept.sealed);
      log.hide(key);
      this.#known = { ok: true, key, isRetired: kept.isRetired, at: Date.now() };
      return this.#known;
    } catch (error) {
      if (known) return known;
      const why = error instanceof AppError ? error.message : "the database did not answer";
      return failure("provider_unavailable", `the key cannot be read: ${why}`);
    }
  }

  /** What D1 says; where it does not answer, what it said before. Null: there is no such key. */
  async #look(): Promise<Kept | null> {
    const asked = keyOfAccount(this.#env.DB, this.#account).then((row) => ({ row }));
    const late = scheduler.wait(answerWithinMs).then(() => null);
    const found = await Promise.race([asked, late]).catch(() => null);
    const before = (await this.#ctx.storage.get<Kept>("key")) ?? null;
    if (!found) {
      if (!before) throw new Error("unknown");
      return before;
    }
    const kept = found.row && { sealed: found.row.sealed, isRetired: found.row.retiredAt !== null };
    if (!kept) await this.#ctx.storage.delete("key");
    else if (kept.sealed !== before?.sealed || kept.isRetired !== before.isRetired)
      await this.#ctx.storage.put("key", kept);
    return kept;
  }

  /** What the provider answered: for people, not for any decision. */
  note(answer: { ok: boolean; code?: string; message?: string }): void {
    if (this.#account === deploymentAccount) return;
    const isRefused = !answer.ok && answer.code === "provider_auth";
    if (!answer.ok && !isRefused) return;
    const trouble = isRefused ? (answer.message ?? "refused") : null;
    const now = Date.now();
    if (this.#noted && this.#noted.trouble === trouble && now - this.#noted.at < notedEveryMs) return;
    this.#noted = { at: now, trouble };
    const at = new Date(now).toISOString();
    const set = trouble === null ? { lastUsedAt: at, trouble, troubleAt: null } : { trouble, troubleAt: at };
    this.#ctx.waitUntil(
      updateKey(this.#env.DB, this.#account, set).catch((error: unknown) => {
        this.#noted = null;
        log.error("provider_key_not_noted", { error });
      }),
    );
  }
}

function failure(code: "provider_auth" | "provider_unavailable", message: string): ProviderFailure {
  return { ok: false, code, message, retryable: code === "provider_unavailable" };
}
