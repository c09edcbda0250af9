/** Little-endian readers and writers. Every read is checked against the end; sizes are checked before any allocation. */
import { damaged } from "./error.ts";

/**
 * `text.charCodeAt(at)` in half the time where strings of many kinds (flat, joined, sliced) come by: the method is not looked up
 * on each of them again.
 */
export const codeAt = Function.prototype.call.bind(String.prototype.charCodeAt) as (text: string, at: number) => number;

/** LEB128 over the safe integers: at most 8 bytes, the shortest form only, so that equal values have equal bytes. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  #grow(more: number): void {
    const need = this.length + more;
    if (need <= this.#bytes.length) return;
    const next = new Uint8Array(Math.max(need, this.#bytes.length * 2));
    next.set(this.#bytes.subarray(0, this.length));
    this.#bytes = next;
    this.#view = new DataView(next.buffer);
  }

  u8(value: number): void {
    this.#grow(1);
    this.#bytes[this.length++] = value;
  }

  u16(value: number): void {
    this.#grow(2);
    this.#view.setUint16(this.length, value, true);
    this.length += 2;
  }

  u32(value: number): void {
    this.#grow(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }

  /** Over bytes that were written already. */
  setU32(at: number, value: number): void {
    if (at + 4 > this.length) throw new RangeError("beyond what was written");
    this.#view.setUint32(at, value, true);
  }

  i64(value: bigint): void {
    this.#grow(8);
    this.#view.setBigInt64(this.length, value, true);
    this.length += 8;
  }

  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not a varint`);
    this.#grow(8);
    let rest = value;
    while (rest >= 128) {
      this.#bytes[this.length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.length++] = rest;
  }

  bytes(value: Uint8Array): void {
    this.#grow(value.length);
    this.#bytes.set(value, this.length);
    this.length += value.length;
  }

  /** Byte strings: one char, one byte. */
  latin1(text: string): void {
    const { length } = text;
    this.#grow(length);
    for (let i = 0; i < length; i++) this.#bytes[this.length + i] = codeAt(text, i);
    this.length += length;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }

  /** Without a copy: valid until the next write or clear. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** Forgets all but the first `length` bytes. */
  truncate(length: number): void {
    this.length = Math.min(this.length, length);
  }

  clear(): void {
    this.length = 0;
  }

  /** The first bytes; what follows moves to the front. */
  forget(bytes: number): void {
    this.#bytes.copyWithin(0, bytes, this.length);
    this.length -= bytes;
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  at: number;

  constructor(bytes: Uint8Array, what: string, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
    this.at = at;
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  #need(bytes: number): number {
    const at = this.at;
    if (bytes > this.#bytes.length - at) throw damaged(`the ${this.#what} ends too early`);
    this.at += bytes;
    return at;
  }

  u8(): number {
    return this.#bytes[this.#need(1)]!;
  }

  u16(): number {
    return this.#view.getUint16(this.#need(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#need(4), true);
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#need(8), true);
  }

  /** At most `max`. */
  varint(max: number, name: string): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; ; i++) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (byte === 0 && i > 0) throw damaged(`the ${this.#what} has an overlong ${name}`);
        break;
      }
      if (i === 7) throw damaged(`the ${this.#what} has an overlong ${name}`);
      scale *= 128;
    }
    if (!(value <= max)) throw damaged(`the ${this.#what} has ${name} ${value}, above ${max}`);
    return value;
  }

  /** A view, not a copy. */
  take(bytes: number): Uint8Array {
    const at = this.#need(bytes);
    return this.#bytes.subarray(at, at + bytes);
  }

  /** `bytes` of them into `target` from `to` on. */
  copy(target: Uint8Array, to: number, bytes: number): void {
    const at = this.#need(bytes);
    for (let i = 0; i < bytes; i++) target[to + i] = this.#bytes[at + i]!;
  }

  latin1(bytes: number): string {
    return latin1FromBytes(this.take(bytes));
  }

  end(): void {
    if (this.left !== 0) throw damaged(`the ${this.#what} has ${this.left} bytes too many`);
  }
}

type Latin1Slice = (this: Uint8Array, from: number, to: number) => string;

/** What `toString("latin1")` of Node's buffers calls, on any bytes: three to six times as fast as one char after another. */
const latin1Slice = findLatin1Slice();

function findLatin1Slice(): Latin1Slice | null {
  const { Buffer } = globalThis as { Buffer?: { prototype: { latin1Slice?: Latin1Slice } } };
  const slice = Buffer?.prototype.latin1Slice;
  try {
    return slice?.call(new Uint8Array([1, 0x41, 0x80, 0xff, 2]), 1, 4) === "A\x80\xff" ? slice : null;
  } catch {
    return null;
  }
}

/** A byte string: one char per byte, so `<` on two of them is the order of their bytes. */
export function latin1FromBytes(bytes: Uint8Array): string {
  if (latin1Slice) return latin1Slice.call(bytes, 0, bytes.length);
  let text = "";
  for (let from = 0; from < bytes.length; from += 4096) {
    // apply, not a spread, which would go through an iterator: ids are made here by the million.
    text += String.fromCharCode.apply(null, bytes.subarray(from, from + 4096) as unknown as number[]);
  }
  return text;
}

export function latin1ToBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = codeAt(text, i);
  return bytes;
}

const hexDigits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexDigits[byte];
  return text;
}

export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) throw damaged("not lower-case hex digits");
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Copies `bytes` into `target` from `at` on, also where both are the same memory. */
export type CopyBytes = (target: Uint8Array, at: number, bytes: Uint8Array) => void;

export const setBytes: CopyBytes = (target, at, bytes) => target.set(bytes, at);

export function isAllZero(bytes: Uint8Array): boolean {
  const head = bytes.byteOffset % 4 === 0 ? 0 : Math.min(bytes.length, 4 - (bytes.byteOffset % 4));
  for (let i = 0; i < head; i++) if (bytes[i] !== 0) return false;
  const words = (bytes.length - head) >> 2;
  if (words > 0) {
    const view = new Uint32Array(bytes.buffer, bytes.byteOffset + head, words);
    for (let i = 0; i < words; i++) if (view[i] !== 0) return false;
  }
  for (let i = head + words * 4; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}
