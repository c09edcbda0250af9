/**
 * Paths of a snapshot are bytes; the API has them as text. What is UTF-8 stands as it is; every other byte, and `%`, as
 * `%XX`. Byte strings have one char for each byte.
 */

const plain = /^[\0-$&-\x7f]*$/;

/** `path`: a byte string. */
export function textOfPath(path: string): string {
  if (plain.test(path)) return path;
  let text = "";
  for (let i = 0; i < path.length; ) {
    const length = sequenceLength(path, i);
    if (length === 0 || path[i] === "%") {
      text += `%${path.charCodeAt(i++).toString(16).toUpperCase().padStart(2, "0")}`;
    } else {
      text += String.fromCodePoint(codePointAt(path, i, length));
      i += length;
    }
  }
  return text;
}

/** The byte string; null where a `%` has no two hexadecimal digits behind it, or the text is no Unicode. */
export function bytesOfPath(text: string): string | null {
  let path = "";
  for (let i = 0; i < text.length; ) {
    if (text[i] === "%") {
      const digits = text.slice(i + 1, i + 3);
      if (!/^[0-9a-fA-F]{2}$/.test(digits)) return null;
      path += String.fromCharCode(Number.parseInt(digits, 16));
      i += 3;
      continue;
    }
    const code = text.codePointAt(i)!;
    if (code >= 0xd800 && code <= 0xdfff) return null;
    path += bytesOfCodePoint(code);
    i += code > 0xffff ? 2 : 1;
  }
  return path;
}

/** As a person would write it; a path that is no UTF-8 keeps the spelling of the API. */
export function plainOf(text: string): string {
  // Of what is UTF-8 only the sign itself is written out.
  return /%(?!25)/.test(text) ? text : text.replaceAll("%25", "%");
}

function bytesOfCodePoint(code: number): string {
  if (code < 0x80) return String.fromCharCode(code);
  const tail = (shift: number) => 0x80 | ((code >> shift) & 0x3f);
  if (code < 0x800) return String.fromCharCode(0xc0 | (code >> 6), tail(0));
  if (code < 0x10000) return String.fromCharCode(0xe0 | (code >> 12), tail(6), tail(0));
  return String.fromCharCode(0xf0 | (code >> 18), tail(12), tail(6), tail(0));
}

/** Of the UTF-8 sequence that begins there; 0 where none does. */
function sequenceLength(path: string, at: number): number {
  const first = path.charCodeAt(at);
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > path.length) return 0;
  for (let i = 1; i < length; i++) if ((path.charCodeAt(at + i) & 0xc0) !== 0x80) return 0;
  const code = codePointAt(path, at, length);
  const least = length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000;
  // Longer than need be, half of a pair, or beyond Unicode: other bytes would have the same text.
  return code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : length;
}

function codePointAt(path: string, at: number, length: number): number {
  if (length === 1) return path.charCodeAt(at);
  let code = path.charCodeAt(at) & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) code = (code << 6) | (path.charCodeAt(at + i) & 0x3f);
  return code;
}
