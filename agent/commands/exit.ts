/** Exit codes of the engine's commands, and which error ends with which. docs/ENGINE.md lists them for users. */
export const exits = {
  ok: 0,
  bug: 1,
  usage: 2,
  incomplete: 3,
  unreachable: 4,
  damaged: 5,
  noSpace: 6,
  refused: 7,
  notFound: 8,
  interrupted: 130,
} as const;

export type Exit = (typeof exits)[keyof typeof exits];

const exitOfCode: Record<string, Exit> = {
  aborted: exits.interrupted,
  usage: exits.usage,
  id_invalid: exits.usage,
  store_invalid: exits.usage,
  settings_invalid: exits.usage,
  not_a_folder: exits.usage,
  not_a_file: exits.usage,
  state_inside_root: exits.usage,
  excludes_invalid: exits.usage,
  key_invalid: exits.usage,
  workspace_too_large: exits.usage,
  restore_conflict: exits.usage,
  gc_not_possible: exits.usage,
  delete_not_offered: exits.usage,
  restore_inexact: exits.incomplete,
  snapshot_incomplete: exits.incomplete,
  store_unreachable: exits.unreachable,
  store_failed: exits.unreachable,
  snapshot_damaged: exits.damaged,
  snapshot_format_unknown: exits.damaged,
  snapshot_hostile: exits.damaged,
  manifest_invalid: exits.damaged,
  manifest_digest_differs: exits.damaged,
  restore_digest_mismatch: exits.damaged,
  folder_differs: exits.damaged,
  part_missing: exits.damaged,
  part_damaged: exits.damaged,
  bytes_differ: exits.damaged,
  no_space: exits.noSpace,
  store_full: exits.noSpace,
  store_refused: exits.refused,
  store_fenced: exits.refused,
  manifest_exists: exits.refused,
  passphrase_wrong: exits.refused,
  state_in_use: exits.refused,
  object_not_found: exits.notFound,
  snapshot_not_found: exits.notFound,
  store_not_found: exits.notFound,
  bucket_not_found: exits.notFound,
  path_not_found: exits.notFound,
};

export function exitOf(code: string): Exit {
  return exitOfCode[code] ?? exits.bug;
}
