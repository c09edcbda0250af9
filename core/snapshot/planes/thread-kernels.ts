/** The kernels of this thread: made at the first use, about 2 MiB. They hold no state between two synchronous calls. */
import type { Kernels } from "./kernels.ts";
import { createPlainKernels } from "./plain-kernels.ts";

let kernels: Kernels | undefined;

export function threadKernels(): Kernels {
  kernels ??= createPlainKernels();
  return kernels;
}
