/** The reader's words and formats, by language and zone; both are remembered by the browser. */
import { createContext, type ReactNode, use, useCallback, useEffect, useMemo, useState } from "react";
import type { Words } from "./en.ts";
import { createFormats, type Formats, type Language } from "./format.ts";

interface Reader {
  t: Words;
  f: Formats;
  language: Language;
  zone: string;
  setLanguage(language: Language): void;
  /** Null: the browser's own. */
  setZone(zone: string | null): void;
}

const Context = createContext<Reader | null>(null);

/** Only the reader's own language is fetched. */
export async function wordsOf(language: Language): Promise<Words> {
  return language === "pt-BR" ? (await import("./pt.ts")).ptBR : (await import("./en.ts")).en;
}

export function firstLanguage(): Language {
  return document.documentElement.lang === "pt-BR" ? "pt-BR" : "en";
}

interface Spoken {
  language: Language;
  words: Words;
}

export function ReaderProvider({ first, children }: { first: Spoken; children: ReactNode }) {
  const [{ language, words }, setSpoken] = useState(first);
  const [ownZone, setOwnZone] = useState<string | null>(() => read("soneca.zone"));
  const zone = ownZone ?? browserZone();
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const changeLanguage = useCallback((next: Language) => {
    write("soneca.language", next);
    // One that cannot be fetched changes nothing: the words that are here stay.
    void wordsOf(next).then(
      (fetched) => setSpoken({ language: next, words: fetched }),
      (error) => console.error(error),
    );
  }, []);
  const changeZone = useCallback((next: string | null) => {
    write("soneca.zone", next);
    setOwnZone(next);
  }, []);
  const reader = useMemo<Reader>(
    () => ({
      t: words,
      f: createFormats(language, zone),
      language,
      zone,
      setLanguage: changeLanguage,
      setZone: changeZone,
    }),
    [language, words, zone, changeLanguage, changeZone],
  );
  return <Context value={reader}>{children}</Context>;
}

export function useReader(): Reader {
  const reader = use(Context);
  if (!reader) throw new Error("outside of ReaderProvider");
  return reader;
}

export function browserZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** A browser that keeps nothing must not break the page. */
export function read(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function write(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    // Then it holds for this page alone.
  }
}
