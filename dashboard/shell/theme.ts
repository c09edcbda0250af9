/** Light, dark, or as the system; remembered by the browser. One state, whoever shows it. */
import { useSyncExternalStore } from "react";
import { read, write } from "../i18n/context.tsx";

export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const name = "soneca.theme";
const listeners = new Set<() => void>();
let theme: Theme = themeOf(read(name));

export function useTheme(): [Theme, (theme: Theme) => void] {
  return [useSyncExternalStore(listen, () => theme), changeTheme];
}

function changeTheme(next: Theme): void {
  write(name, next === "system" ? null : next);
  show(next);
}

function show(next: Theme): void {
  theme = next;
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  for (const heard of listeners) heard();
}

function listen(heard: () => void): () => void {
  listeners.add(heard);
  return () => listeners.delete(heard);
}

function themeOf(kept: string | null): Theme {
  return kept === "light" || kept === "dark" ? kept : "system";
}

// Chosen in another tab, it holds here too.
window.addEventListener("storage", (event) => {
  if (event.key === name) show(themeOf(event.newValue));
});
