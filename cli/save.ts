/** A download on its way to a file, which has its name only once it is whole, or to stdout. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { lstatSync, rmSync, statSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { plainOf } from "../core/protocol/browse-path.ts";
import type { Download } from "./client.ts";
import { Failure, usageFailure } from "./failure.ts";
import { cleanDeep, formatBytes } from "./format.ts";

const progressEveryMs = 250;

interface SaveOptions {
  /** A file, or a folder for a file of the same name; without it that is the present folder. */
  wanted: string | undefined;
  /** In the snapshot, as the API spells it. */
  path: string;
  onProgress(words: string): void;
}

/** What was there keeps its name until the end. Errors: Failure; then nothing is left of it. */
export async function saveDownload(
  begin: () => Promise<Download>,
  { wanted, path, onProgress }: SaveOptions,
): Promise<{ file: string; size_bytes: number }> {
  const file = placeOf(wanted, path);
  const { sizeBytes, bytes } = await begin();
  const partial = join(dirname(file), `.${basename(file).slice(0, 100)}.${randomBytes(4).toString("hex")}.part`);
  const leave = () => {
    rmSync(partial, { force: true });
    process.exit(130);
  };
  process.on("SIGINT", leave);
  try {
    const handle = await open(partial, "wx").catch((error) => {
      throw notWritten(file, error);
    });
    let got = 0;
    let shownAt = 0;
    try {
      for await (const piece of bytes) {
        await handle.writeFile(piece).catch((error) => {
          throw notWritten(file, error);
        });
        got += piece.length;
        if (Date.now() - shownAt < progressEveryMs) continue;
        shownAt = Date.now();
        onProgress(
          `${cleanDeep(path)}  ${formatBytes(got)}${sizeBytes === null ? "" : ` of ${formatBytes(sizeBytes)}`}`,
        );
      }
    } finally {
      await handle.close();
    }
    await rename(partial, file).catch((error) => {
      throw notWritten(file, error);
    });
    return { file, size_bytes: got };
  } catch (error) {
    await bytes.return();
    await rm(partial, { force: true });
    throw error;
  } finally {
    process.removeListener("SIGINT", leave);
  }
}

/** A reader that leaves early ends it in silence, as everywhere (main.ts). */
export async function sendDownload({ bytes }: Download, out: NodeJS.WritableStream): Promise<void> {
  for await (const piece of bytes) if (!out.write(piece)) await once(out, "drain");
}

/** Errors: Failure `usage` where that would take another file's place unasked. */
function placeOf(wanted: string | undefined, path: string): string {
  const name = plainOf(path.slice(path.lastIndexOf("/") + 1));
  const isFolder = wanted === undefined || statSync(wanted, { throwIfNoEntry: false })?.isDirectory() === true;
  if (!isFolder) return wanted;
  const file = join(wanted ?? ".", name);
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return file;
  throw usageFailure(`${file} is there already.`, "Name the file with -o: then it is replaced.");
}

function notWritten(file: string, error: unknown): Failure {
  const { code, message } = error as NodeJS.ErrnoException;
  return new Failure(
    "file_not_written",
    `${file} cannot be written: ${code ?? message}.`,
    "Choose another place with -o.",
  );
}
