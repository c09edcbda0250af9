/** Lucide's icons at the sizes of the house. Always beside a word, or with a name of their own. */
import type { LucideIcon } from "lucide-react";

export function Icon({ of: Shape, spin, className }: { of: LucideIcon; spin?: boolean; className?: string }) {
  return (
    <Shape className={`i${spin ? " spin" : ""}${className ? ` ${className}` : ""}`} aria-hidden strokeWidth={1.75} />
  );
}
