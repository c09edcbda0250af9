/** The one alarm of an object, at the earliest of what is due. */

export class Alarm {
  readonly #storage: DurableObjectStorage;
  readonly #due: () => (number | null)[];
  #arming: Promise<void> = Promise.resolve();

  /** `due`: epoch ms of everything that is waited for. */
  constructor(storage: DurableObjectStorage, due: () => (number | null)[]) {
    this.#storage = storage;
    this.#due = due;
  }

  /** One after the other: those that look at the same time would each move the alarm, and each move is a row. */
  arm(): Promise<void> {
    this.#arming = this.#arming.catch(() => undefined).then(() => this.#armOnce());
    return this.#arming;
  }

  async #armOnce(): Promise<void> {
    const times = this.#due().filter((at) => at !== null);
    if (times.length === 0) return;
    const now = Date.now();
    const wanted = Math.max(Math.min(...times), now + 1);
    const armed = await this.#storage.getAlarm();
    // A later deadline keeps the earlier alarm: it costs nothing to look too early, and a heartbeat moves no alarm.
    if (armed !== null && armed <= wanted && armed > now - 60_000) return;
    await this.#storage.setAlarm(wanted);
  }
}
