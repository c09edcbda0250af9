/** Whether an element is on the screen or about to be: what is far away need not be drawn in full. */
import { useEffect, useState } from "react";

const margin = "600px";
const told = new WeakMap<Element, (isNear: boolean) => void>();
/** One for all of them: each brings work of its own to every frame. */
let observer: IntersectionObserver | undefined;
/** Height of the last one that was drawn in full, px: the best guess for those that were not yet. */
let usualHeight = 57;

function observerOfAll(): IntersectionObserver {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) told.get(target)?.(isIntersecting);
    },
    { rootMargin: margin },
  );
  return observer;
}

/** `isFirst`: drawn in full from the start. The ref goes to the element, `height` (px) is its own while it is far. */
export function useNear(isFirst: boolean): {
  ref: (element: HTMLElement | null) => void;
  isNear: boolean;
  height: number | undefined;
} {
  const [element, ref] = useState<HTMLElement | null>(null);
  const [far, setFar] = useState<number | null>(isFirst ? null : usualHeight);
  useEffect(() => {
    if (!element) return;
    told.set(element, (isNear) =>
      setFar((before) => {
        if (isNear) return null;
        if (before !== null) return before;
        usualHeight = element.getBoundingClientRect().height || usualHeight;
        return usualHeight;
      }),
    );
    observerOfAll().observe(element);
    return () => observerOfAll().unobserve(element);
  }, [element]);
  return { ref, isNear: far === null, height: far ?? undefined };
}
