/**
 * Every error that leaves the product: its HTTP status, whether a repeat can help, its words and what to do. Status,
 * retryability and words derive from the code, so callers match on the code alone.
 */

interface ErrorRow {
  status: number;
  retryable: boolean;
  message: string;
  /** What the reader can do about it. */
  hint: string;
}

const row = (status: number, retryable: boolean, message: string, hint: string): ErrorRow => ({
  status,
  retryable,
  message,
  hint,
});

export const errorTable = {
  bad_json: row(400, false, "The body is not valid JSON.", "Send a JSON object with Content-Type: application/json."),
  invalid_input: row(400, false, "The request does not fit the contract.", "Correct the fields named in `issues`."),
  length_required: row(
    411,
    false,
    "Content-Length is missing.",
    "Send the exact length of the body; chunked bodies are refused.",
  ),
  payload_too_large: row(413, false, "The body is too large.", "Stay under the size named in `context.limit_bytes`."),
  route_not_found: row(404, false, "There is nothing at this address.", "See /api/openapi.json for the routes."),
  method_not_allowed: row(405, false, "This address does not take that method.", "See the Allow header."),

  unauthenticated: row(401, false, "No valid token came with the request.", "Send Authorization: Bearer snu_..."),
  token_expired: row(401, false, "The token has expired.", "Ask for a new token."),
  forbidden: row(403, false, "This token may not do that.", "Use a token of the right kind and owner."),
  role_too_low: row(
    403,
    false,
    "Your role in the team does not allow that.",
    "Ask an owner of the team; `context.wants` is the role that it takes.",
  ),
  token_too_narrow: row(
    403,
    false,
    "This token is for some instances of the team, and that concerns all of it.",
    "Use a token without a list of instances.",
  ),
  member_exists: row(409, false, "They are in the team already.", "Change their role with PUT /api/members/{id}."),
  founder_stays: row(
    409,
    false,
    "Whom a team began with stays its owner.",
    "Take others in as owners; they may do the same.",
  ),
  access_service_unknown: row(
    403,
    false,
    "Cloudflare Access let a service in that stands for no user here.",
    "Whoever runs the deployment names it in ACCESS_SERVICES (docs/USERS.md).",
  ),
  session_needs_own_origin: row(
    409,
    false,
    "At this address a browser cannot be signed in: the pages of every service under /p/ could act for it.",
    "Open the dashboard at an address of its own, or set PROXY_PATHS to off (docs/DASHBOARD.md).",
  ),
  node_unavailable: row(
    502,
    true,
    "Node could not be had from its mirror.",
    "Try again in a moment, or set NODE_MIRROR to a mirror that this deployment reaches (docs/AGENT.md).",
  ),
  access_unavailable: row(
    503,
    true,
    "Cloudflare Access did not answer, so who asks could not be checked.",
    "Try again in a moment.",
  ),
  secrets_key_missing: row(
    503,
    false,
    "This deployment has no key to keep secrets with.",
    "Whoever runs it sets SECRETS_KEYS (docs/SECURITY.md).",
  ),
  secret_unreadable: row(
    503,
    false,
    "A secret that was kept cannot be read: the key that it was sealed with is gone.",
    "Put the key back into SECRETS_KEYS, or enter the secret again.",
  ),
  epoch_fenced: row(
    403,
    false,
    "This machine has been replaced by a newer one.",
    "Stop this agent: its successor owns the workspace now.",
  ),

  state_of_newer_version: row(
    503,
    false,
    "The instance was last written by a newer version of the control plane, and this one does not touch it.",
    "Whoever runs the deployment brings back that version, or a later one (docs/OBSERVE.md).",
  ),
  instance_not_found: row(404, false, "There is no such instance.", "List yours with GET /api/instances."),
  action_not_allowed: row(
    409,
    false,
    "The instance cannot do that in its present state.",
    "See `actions` of the instance for what it can do now.",
  ),
  lease_too_long: row(
    400,
    false,
    "It may not be held awake for so long at once.",
    "Ask for at most `context.max_minutes`, or raise keep_awake_max_hours of its settings.",
  ),
  snapshot_not_found: row(
    404,
    false,
    "The instance has no such snapshot.",
    "List them with GET /api/instances/{id}/snapshots.",
  ),
  snapshot_damaged: row(
    409,
    false,
    "That snapshot is not whole in the store.",
    "Choose another one; `context.detail` says what is wrong with it.",
  ),
  snapshot_encrypted: row(
    409,
    false,
    "That snapshot is encrypted, and its key never comes here.",
    "Look into it where the passphrase is: `soneca-agent ls` and `cat`, or wake the instance.",
  ),
  snapshot_too_large: row(
    409,
    false,
    "One request cannot read that much of a snapshot.",
    "Look into it with `soneca-agent ls` and `cat`, or wake the instance.",
  ),
  rollback_needs_sleep: row(
    409,
    false,
    "It can only go back to an older snapshot while it sleeps.",
    "Put it to sleep first: what is on its machine now becomes a snapshot of its own.",
  ),
  machine_unsaved: row(
    409,
    false,
    "Its stopped machine holds what no snapshot has, and a wake starts that machine.",
    "Wake it without a snapshot and put it to sleep, which saves it, or discard the machine; then go back.",
  ),
  wake_rate_limited: row(
    429,
    true,
    "A wake of this instance was started less than a minute ago.",
    "Wait for the time in Retry-After.",
  ),
  waking: row(503, true, "The instance is on its way up.", "Send the request again after Retry-After."),
  wake_not_automatic: row(
    503,
    false,
    "The instance sleeps, and requests do not wake it.",
    "Wake it with `soneca instance wake`, or set wake_method to auto.",
  ),
  request_does_not_wake: row(
    503,
    false,
    "The instance sleeps, and a request of this kind does not wake it.",
    "Send one whose method and path are among wake_methods and wake_paths, and not among quiet_paths, of its proxy settings.",
  ),
  wakes_per_hour_spent: row(
    429,
    true,
    "Requests woke it as often within this hour as they may.",
    "Wait for the time in Retry-After, or wake it with `soneca instance wake`.",
  ),
  money_per_day_spent: row(
    429,
    true,
    "The instance cost as much within this day as requests may make it cost.",
    "Wait for the time in Retry-After, or wake it with `soneca instance wake`.",
  ),
  service_not_listening: row(
    503,
    true,
    "The machine runs, and nothing listens on the service's port yet.",
    "Send the request again after Retry-After. The hook after_wake is where a service is started.",
  ),
  service_broke: row(
    502,
    false,
    "The service broke off before its answer began.",
    "See the service's own log; the request may have had its effect.",
  ),
  machine_out_of_reach: row(
    503,
    true,
    "The way to the machine broke before its answer began.",
    "Send the request again after Retry-After; it may have had its effect.",
  ),
  answer_too_late: row(
    504,
    false,
    "The service's answer did not begin while the way to the machine waits for it.",
    "The request reached the service and may have had its effect. Let the service stream its answer, or answer at once and be asked again: a tunnel waits about 100 seconds.",
  ),
  machine_busy: row(
    503,
    true,
    "As many requests are under way to the machine as its way carries.",
    "Send the request again after Retry-After; nothing of it has reached the machine.",
  ),
  get_has_body: row(
    400,
    false,
    "A GET or HEAD request with a body cannot be passed on to a service.",
    "Send it without its body, or as a POST; services that read the body of a GET mostly take both.",
  ),
  port_not_shown: row(
    404,
    false,
    "The instance does not show this port.",
    "Add it to proxy.more_ports of its settings.",
  ),
  upgrade_required: row(
    426,
    false,
    "This address speaks over a WebSocket alone.",
    "Open it with a WebSocket, or ask GET /api/instances/{id} again and again.",
  ),
  too_many_requests: row(429, true, "Too many requests.", "Wait for the time in Retry-After."),
  machine_not_found: row(
    404,
    false,
    "The provider's account has no such machine.",
    "Check the number with `vastai show instances`.",
  ),
  machine_already_adopted: row(
    409,
    false,
    "That machine already belongs to an instance.",
    "Use the instance in `context.instance_id`. If none manages it any more, take its label off at the provider; one that Soneca rented stays its instance's.",
  ),
  confirm_mismatch: row(
    400,
    false,
    "The confirmation does not name this instance.",
    "Send `confirm` with the instance's id.",
  ),

  too_many_channels: row(
    409,
    false,
    "There are as many channels as one user may have.",
    "Delete one of them first; `context.max` says how many.",
  ),
  email_not_set_up: row(
    409,
    false,
    "This deployment sends no e-mail.",
    "Choose another kind of channel; whoever runs it can set e-mail up (docs/NOTICES.md).",
  ),
  button_spent: row(409, false, "That button has been pressed already.", "Open the dashboard for anything more."),
  object_not_found: row(404, false, "There is no such object.", "List the store to see what it holds."),
  range_not_satisfiable: row(416, false, "The range lies outside of the object.", "Ask for its size with HEAD first."),
  part_hash_mismatch: row(
    422,
    true,
    "The bytes that arrived do not have the SHA-256 of their name.",
    "Send the part again.",
  ),
  manifest_exists: row(
    409,
    false,
    "Another manifest already has this sequence number.",
    "Take a snapshot with the next number.",
  ),
  manifest_invalid: row(422, false, "The manifest does not fit the format.", "See core/snapshot/FORMAT.md."),
  storage_unavailable: row(503, true, "The object store did not answer.", "Send the request again after Retry-After."),

  provider_auth: row(
    502,
    false,
    "The provider refused the key.",
    "Set another one: your team's own with `soneca provider-key set`, the deployment's as VAST_API_KEY.",
  ),
  provider_key_in_use: row(
    409,
    false,
    "Machines are rented with this key, and without it nobody could end them.",
    "Put those instances to sleep first; `context.machines` are the provider's numbers.",
  ),
  provider_no_credit: row(
    402,
    false,
    "The provider's account has no credit.",
    "Add credit to the account, then try again.",
  ),
  provider_rate_limited: row(503, true, "The provider asks for fewer requests.", "Wait for the time in Retry-After."),
  provider_refused: row(502, false, "The provider refused the request.", "Read `context.provider_message`."),
  provider_unavailable: row(503, true, "The provider did not answer.", "Try again in a moment; nothing was changed."),
  no_offer: row(
    409,
    true,
    "No offer fits GPU, region, disk and price.",
    "Widen the GPU, the region or the price, or try again later.",
  ),

  database_unavailable: row(
    503,
    true,
    "The control plane's database did not answer.",
    "Send the request again after Retry-After.",
  ),
  internal: row(500, true, "Something broke on our side.", "Try again; if it stays, report the request id."),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

export interface ErrorBody {
  error: {
    code: ErrorCode;
    message: string;
    hint: string;
    retryable: boolean;
    request_id?: string;
    /** Names of fields and what is wrong with each. */
    issues?: { path: string; message: string }[];
    context?: Record<string, unknown>;
  };
}

export type ErrorContext = Record<string, unknown> & {
  issues?: { path: string; message: string }[];
  retryAfterMs?: number;
};

/** The one error that ports and routes throw for an expected failure. */
export class AppError extends Error {
  override name = "AppError";
  readonly code: ErrorCode;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, context: ErrorContext = {}, options?: { cause?: unknown }) {
    super(errorTable[code].message, options);
    this.code = code;
    this.context = context;
  }

  get status(): number {
    return errorTable[this.code].status;
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }

  toBody(requestId?: string): ErrorBody {
    const { issues, retryAfterMs: _, ...context } = this.context;
    const { message, hint, retryable } = errorTable[this.code];
    return {
      error: {
        code: this.code,
        message,
        hint,
        retryable,
        ...(requestId ? { request_id: requestId } : {}),
        ...(issues ? { issues } : {}),
        ...(Object.keys(context).length > 0 ? { context } : {}),
      },
    };
  }
}

/** An AppError that lost its class on its way, as from an object to the worker; null for any other. */
export function asAppError(error: unknown): AppError | null {
  if (error instanceof AppError) return error;
  if (!(error instanceof Error) || error.name !== "AppError") return null;
  const { code, context } = error as Partial<AppError>;
  return isErrorCode(code) ? new AppError(code, context, { cause: error }) : null;
}

export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === "string" && Object.hasOwn(errorTable, text);
}
