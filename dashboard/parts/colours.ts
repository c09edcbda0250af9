/** The page's colours for a canvas, which knows nothing of `light-dark()` and variables; anew when the theme changes. */
import { useEffect, useState } from "react";

const names = [
  "run",
  "idle",
  "move",
  "sleep",
  "sleep-fg",
  "bad",
  "ink-2",
  "ink-3",
  "line-soft",
  "surface",
  "night",
] as const;
export type Colours = Record<(typeof names)[number], string>;

function readColours(): Colours {
  const probe = document.createElement("i");
  document.body.append(probe);
  const found = Object.fromEntries(
    names.map((name) => {
      probe.style.color = `var(--${name})`;
      return [name, getComputedStyle(probe).color];
    }),
  ) as Colours;
  probe.remove();
  return found;
}

export function useColours(): Colours {
  const [colours, setColours] = useState(readColours);
  useEffect(() => {
    const change = () => setColours(readColours());
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", change);
    const own = new MutationObserver(change);
    own.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      system.removeEventListener("change", change);
      own.disconnect();
    };
  }, []);
  return colours;
}
