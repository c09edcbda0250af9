/**
 * Reads the XML that S3 servers answer with: elements and text. Strict: anything unbalanced, a document type, an unknown
 * entity or something after the end is an error; attributes, comments and processing instructions are passed over.
 */
export interface XmlElement {
  name: string;
  text: string;
  children: XmlElement[];
}

const maxDepth = 32;
const token =
  /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<(\/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>/y;

/** Errors: throws SyntaxError. */
export function parseXml(source: string): XmlElement {
  const root: XmlElement = { name: "", text: "", children: [] };
  const open: XmlElement[] = [root];
  let at = source.startsWith("\ufeff") ? 1 : 0;
  while (at < source.length) {
    const parent = open.at(-1)!;
    const next = source.indexOf("<", at);
    const text = source.slice(at, next < 0 ? undefined : next);
    if (parent === root && text.trim() !== "") throw new SyntaxError("XML: text outside of the document");
    parent.text += unescapeText(text);
    if (next < 0) break;
    token.lastIndex = next;
    const match = token.exec(source);
    if (!match) throw new SyntaxError(`XML: not understood at ${next}`);
    at = token.lastIndex;
    const [, closing, name, , empty] = match;
    if (name === undefined) continue;
    if (closing) {
      if (parent === root || parent.name !== name) throw new SyntaxError(`XML: </${name}> closes nothing`);
      open.pop();
      continue;
    }
    if (parent === root && root.children.length > 0) throw new SyntaxError("XML: a second document");
    const element: XmlElement = { name, text: "", children: [] };
    parent.children.push(element);
    if (!empty) open.push(element);
    if (open.length > maxDepth) throw new SyntaxError("XML: too deep");
  }
  if (open.length > 1) throw new SyntaxError(`XML: <${open.at(-1)!.name}> is not closed`);
  if (!root.children[0]) throw new SyntaxError("XML: nothing there");
  return root.children[0];
}

/** The text of the first child with this name; null where there is none. */
export function childText(element: XmlElement, name: string): string | null {
  return element.children.find((child) => child.name === name)?.text ?? null;
}

const named: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function unescapeText(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&([^;&]*)(;?)/g, (whole, name: string, end: string) => {
    const number = /^#x([0-9a-fA-F]{1,6})$/.exec(name)?.[1] ?? null;
    const code = number !== null ? Number.parseInt(number, 16) : /^#\d{1,7}$/.test(name) ? Number(name.slice(1)) : null;
    if (end === ";" && code !== null && code <= 0x10ffff) return String.fromCodePoint(code);
    if (end !== ";" || !Object.hasOwn(named, name)) throw new SyntaxError(`XML: unknown entity ${whole.slice(0, 20)}`);
    return named[name]!;
  });
}
