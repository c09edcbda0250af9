/** Light, dark, or as the system; remembered by the browser. */
import { useState } from "react";
import { read, write } from "../i18n/context.tsx";

export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState<Theme>(() => {
    const kept = read("soneca.theme");
    return kept === "light" || kept === "dark" ? kept : "system";
  });
  const change = (next: Theme) => {
    write("soneca.theme", next === "system" ? null : next);
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    setTheme(next);
  };
  return [theme, change];
}
