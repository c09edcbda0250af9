/** With which provider account each machine of the instance was rented: it stays with that one until it is gone. */
import { deploymentAccount } from "../db/provider-keys.ts";

export class MachineAccounts {
  readonly #sql: SqlStorage;
  /** Decided by this very object: a rental that is tried again stays where it was begun. */
  #decided = new Set<number>();

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** A row stands for its epoch and those after it. Objects of before have none. */
  createTable(): void {
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS provider_accounts (from_epoch INTEGER PRIMARY KEY, account TEXT NOT NULL)",
    );
  }

  of(epoch: number): string {
    const query = "SELECT account FROM provider_accounts WHERE from_epoch <= ? ORDER BY from_epoch DESC LIMIT 1";
    const row = this.#sql.exec(query, epoch).toArray()[0];
    return (row?.account as string | undefined) ?? deploymentAccount;
  }

  /** Written before anything is asked of the provider. `now`: what the team rents with; null where that is not known. */
  async decide(epoch: number, wasBegun: boolean, now: () => Promise<string | null>): Promise<string> {
    if (!wasBegun && !this.#decided.has(epoch)) {
      const account = await now();
      if (account !== null) this.note(epoch, account);
    }
    this.#decided.add(epoch);
    return this.of(epoch);
  }

  note(epoch: number, account: string): void {
    if (this.of(epoch) === account) return;
    this.#sql.exec("INSERT OR REPLACE INTO provider_accounts (from_epoch, account) VALUES (?, ?)", epoch, account);
  }
}
