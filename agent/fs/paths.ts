/** Paths inside the engine are byte strings (one char, one byte). Node wants UTF-8 text or bytes. */

/** A path that Node's fs takes for exactly these bytes. */
export function fsPath(bytes: string): string | Buffer {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, "latin1");
}

/** From text that came from outside (a command line, a configuration). */
export function bytesOfText(text: string): string {
  return isAscii(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}

const longestText = 4000;

/** For messages: bytes that are not UTF-8 appear as U+FFFD, and the middle of a very long path as an ellipsis. */
export function textOfBytes(bytes: string): string {
  if (bytes.length > longestText) {
    const half = longestText / 2;
    return `${textOfBytes(bytes.slice(0, half))}…${textOfBytes(bytes.slice(-half))}`;
  }
  return isAscii(bytes) ? bytes : Buffer.from(bytes, "latin1").toString("utf8");
}

/**
 * The same text in one piece. V8 keeps what `+` joins as its two halves until somebody reads a char of it; of a million paths
 * that are kept these take 50 MB more. A search reads one.
 */
export function inOnePiece(text: string): string {
  atRoot.test(text);
  return text;
}

const atRoot = /^\//;
const beyondAscii = /[\u0080-\uffff]/;

function isAscii(text: string): boolean {
  return !beyondAscii.test(text);
}
