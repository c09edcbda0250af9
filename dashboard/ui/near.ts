/** Whether an element is on the screen or about to be: what is far away need not be drawn in full. */
import { useEffect, useState } from "react";

const margin = "600px";
const told = new WeakMap<Element, (entry: IntersectionObserverEntry) => void>();
/** One for all of them: each brings work of its own to every frame. */
let observer: IntersectionObserver | undefined;
/** Height of the last one that was seen drawn in full, px: the best guess for those that were not yet. */
let usualHeight = 57;

function observerOfAll(): IntersectionObserver {
  observer ??= new IntersectionObserver(
    (entries) => {
      const drawn = entries.find(({ target }) => isDrawn(target));
      usualHeight = drawn?.boundingClientRect.height || usualHeight;
      for (const entry of entries) told.get(entry.target)?.(entry);
    },
    { rootMargin: margin },
  );
  return observer;
}

const isDrawn = (element: Element) => (element as HTMLElement).style.height === "";

/**
 * `isFirst`: drawn in full from the start. The ref goes to the element; `height` (px) is its style while it is far, and
 * undefined while it is drawn in full.
 */
export function useNear(isFirst: boolean): { ref: (element: HTMLElement | null) => void; height: number | undefined } {
  const [element, ref] = useState<HTMLElement | null>(null);
  const [height, setHeight] = useState(isFirst ? undefined : usualHeight);
  useEffect(() => {
    if (!element) return;
    told.set(element, ({ isIntersecting, boundingClientRect }) => {
      if (isIntersecting) setHeight(undefined);
      else setHeight(isDrawn(element) ? boundingClientRect.height : usualHeight);
    });
    observerOfAll().observe(element);
    return () => observerOfAll().unobserve(element);
  }, [element]);
  return { ref, height };
}
