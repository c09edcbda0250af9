/** What a decoder throws. `snapshot_damaged`: the bytes break the format. `snapshot_format_unknown`: a later version made them. */
export type FormatErrorCode = "snapshot_damaged" | "snapshot_format_unknown" | "snapshot_hostile" | "manifest_invalid";

export class FormatError extends Error {
  override name = "FormatError";
  readonly code: FormatErrorCode;

  constructor(code: FormatErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

export function damaged(message: string): FormatError {
  return new FormatError("snapshot_damaged", message);
}

export function unknownFormat(message: string): FormatError {
  return new FormatError("snapshot_format_unknown", message);
}
