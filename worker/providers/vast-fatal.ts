/**
 * Words of `status_msg` after which a boot never succeeds. Where nothing matches only a limit bounds the boot: the layer
 * lines of a slow image look like those of one that hangs.
 */
import type { RentedMachine } from "./provider.ts";

interface FatalWords {
  pattern: RegExp;
  /** `image`: every host would fail. `host`: the next one may do. */
  fault: "host" | "image";
  /** Where the words are known from. */
  source: "vast.ai's base image" | "boots seen in production" | "docker" | "NVIDIA's container toolkit";
}

export const fatalWords: readonly FatalWords[] = [
  { pattern: /manifest\b.*\bnot found/i, fault: "image", source: "docker" },
  { pattern: /manifest unknown/i, fault: "image", source: "docker" },
  { pattern: /pull access denied/i, fault: "image", source: "docker" },
  { pattern: /repository does not exist/i, fault: "image", source: "docker" },
  { pattern: /invalid reference format/i, fault: "image", source: "docker" },
  { pattern: /unauthorized: authentication required/i, fault: "image", source: "docker" },
  { pattern: /GPU error, unable to start instance/i, fault: "host", source: "boots seen in production" },
  { pattern: /no space left on device/i, fault: "host", source: "docker" },
  { pattern: /unexpected EOF/i, fault: "host", source: "docker" },
  { pattern: /OCI runtime create failed/i, fault: "host", source: "docker" },
  { pattern: /failed to inject CDI devices/i, fault: "host", source: "NVIDIA's container toolkit" },
  { pattern: /docker_build\(\) error/i, fault: "host", source: "vast.ai's base image" },
  { pattern: /nvidia-container-cli: device error/i, fault: "host", source: "NVIDIA's container toolkit" },
  { pattern: /unable to determine the device handle/i, fault: "host", source: "NVIDIA's container toolkit" },
];

/** A fault of the image comes first: words of both mean that no host will do. */
export function readFatal(message: string | null | undefined): RentedMachine["fatal"] {
  if (!message) return null;
  const faults = fatalWords.filter((one) => one.pattern.test(message)).map((one) => one.fault);
  return faults.includes("image") ? "image" : (faults[0] ?? null);
}
