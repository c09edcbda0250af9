/**
 * Who may send how much on the relay. Neither end of its WebSocket pushes back (a Worker's `send` never waits), so the
 * receiver says what it has room for: each stream begins with a small window each way, and what its consumer takes comes
 * back as credit. A window whose consumer is quick doubles, as long as the socket's budget has room, and shrinks again
 * when it has not: windows are what the receiver may have to hold in memory.
 */

export const firstWindowBytes = 256 * 1024;
export const maxWindowBytes = 4 * 1024 * 1024;
/** No credit in sum is greater: a number that is only counted up must not leave the safe integers. */
const maxCreditBytes = 2 ** 40;

/** The sum of the windows of one socket. Each stream has its first one in any case. */
export class Budget {
  readonly limit: number;
  total = 0;

  constructor(limit: number) {
    this.limit = limit;
  }
}

/** The receiver's side of one direction of a stream. */
export class ReceiveWindow {
  readonly #budget: Budget;
  #size = firstWindowBytes;
  /** size = what may still come + held + owed. */
  #open = firstWindowBytes;
  #held = 0;
  #owed = 0;
  #isClosed = false;

  constructor(budget: Budget) {
    this.#budget = budget;
    budget.total += this.#size;
  }

  /** What came and was not taken yet. */
  get held(): number {
    return this.#held;
  }

  get size(): number {
    return this.#size;
  }

  /** False: the other side sent more than it may. */
  arrive(bytes: number): boolean {
    if (bytes > this.#open) return false;
    this.#open -= bytes;
    this.#held += bytes;
    return true;
  }

  /** The consumer took so much. The answer is the credit to give now; mostly 0, because a credit per frame is one too many. */
  take(bytes: number): number {
    if (this.#isClosed) return 0;
    this.#held -= bytes;
    this.#owed += bytes;
    if (this.#owed * 2 < this.#size) return 0;
    this.#resize();
    const credit = this.#owed;
    this.#owed = 0;
    this.#open += credit;
    return credit;
  }

  #resize(): void {
    const room = this.#budget.limit - this.#budget.total;
    const change =
      room >= 0
        ? Math.min(room, this.#size, maxWindowBytes - this.#size)
        : -Math.min(-room, this.#owed, this.#size - firstWindowBytes);
    this.#size += change;
    this.#owed += change;
    this.#budget.total += change;
  }

  /** The stream is over: what it had is the others'. */
  close(): void {
    if (!this.#isClosed) this.#budget.total -= this.#size;
    this.#isClosed = true;
  }
}

/** The sender's side of one direction of a stream. */
export class Credit {
  left = firstWindowBytes;

  /** False: more than any receiver gives. */
  add(bytes: number): boolean {
    if (this.left + bytes > maxCreditBytes) return false;
    this.left += bytes;
    return true;
  }
}
