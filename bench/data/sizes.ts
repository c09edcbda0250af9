/** How much of what the data has. The MLP's checkpoints are as large as its layers say. */
import type { MlpConfig } from "./mlp.ts";

export type SizeName = "tiny" | "small" | "full";

export interface Size {
  name: SizeName;
  codeFiles: number;
  bytes: Record<"bf16" | "fp16" | "fp32" | "int8" | "libraries" | "logs" | "text" | "images" | "archives", number>;
  mlp: MlpConfig;
  /** One file, of which one byte changes. */
  bigFileBytes: number;
  /** The least of the two amounts of data whose memory is compared. */
  memoryBytes: number;
  incompressibleBytes: number;
  /** Entries of one folder. */
  manyEntries: number;
}

const mib = 1024 * 1024;
/** The last step is the day's new checkpoint; the others are in the workspace already. */
const mlp = { batch: 8, steps: [100, 150, 160], coolStep: 101 };

export const sizes: Record<SizeName, Size> = {
  full: {
    name: "full",
    codeFiles: 58_000,
    bytes: {
      bf16: 210 * mib,
      fp16: 210 * mib,
      fp32: 50 * mib,
      int8: 70 * mib,
      libraries: 300 * mib,
      logs: 100 * mib,
      text: 120 * mib,
      images: 300 * mib,
      archives: 100 * mib,
    },
    mlp: { ...mlp, layers: [1024, 3072, 2048, 16] },
    bigFileBytes: 1024 * mib,
    memoryBytes: 1024 * mib,
    incompressibleBytes: 512 * mib,
    manyEntries: 100_000,
  },
  small: {
    name: "small",
    codeFiles: 5_800,
    bytes: {
      bf16: 22 * mib,
      fp16: 22 * mib,
      fp32: 12 * mib,
      int8: 10 * mib,
      libraries: 24 * mib,
      logs: 10 * mib,
      text: 12 * mib,
      images: 24 * mib,
      archives: 8 * mib,
    },
    mlp: { ...mlp, layers: [256, 512, 768, 16] },
    bigFileBytes: 256 * mib,
    memoryBytes: 200 * mib,
    incompressibleBytes: 64 * mib,
    manyEntries: 5_000,
  },
  /** For the tests: synthetic data only. */
  tiny: {
    name: "tiny",
    codeFiles: 60,
    bytes: {
      bf16: mib,
      fp16: mib,
      fp32: mib,
      int8: mib,
      libraries: mib,
      logs: mib >> 2,
      text: mib >> 2,
      images: mib,
      archives: mib >> 3,
    },
    mlp: { batch: 2, steps: [2, 3, 4], coolStep: 3, layers: [16, 32, 16, 4] },
    bigFileBytes: 12 * mib,
    memoryBytes: 4 * mib,
    incompressibleBytes: 2 * mib,
    manyEntries: 50,
  },
};
