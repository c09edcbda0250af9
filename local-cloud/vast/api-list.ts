/** The list of instances, and what can be wrong with it. */
import { checkFilters, matchesFilters, orderRows, type Row, readOrder } from "./query.ts";
import { asObject, type Context, parseJson } from "./route.ts";
import { showMachines, writeNumbersAsText } from "./show.ts";
import { failure, htmlPage, invalid, type Reply, success, successFalse } from "./wire.ts";

const MAX_PAGE = 25;
const COMPUTED = ["dph_total", "dph_base", "num_gpus", "uptime_mins"];

function readArgument(query: URLSearchParams, name: string): unknown {
  const text = query.get(name);
  return text === null || text === "" ? undefined : parseJson(text);
}

function readPageStart(token: string | null, rows: Row[]): number | null {
  if (token === null || token === "") return 0;
  const read = asObject(parseJson(Buffer.from(token, "base64url").toString()));
  if (!read || typeof read.id !== "number" || typeof read.at !== "number") return null;
  const index = rows.findIndex((row) => row.id === read.id);
  return index >= 0 ? index + 1 : Math.min(read.at, rows.length);
}

const writeToken = (id: unknown, at: number) => Buffer.from(JSON.stringify({ id, at })).toString("base64url");

export const deadList = () =>
  failure(410, "deprecated_endpoint", "/api/v0/instances/ is deprecated. Use /api/v1/instances/ instead.");

function breakList(variant: string): Reply {
  switch (variant) {
    case "html_502":
      return htmlPage(502);
    case "success_false":
      return successFalse();
    case "410":
      return deadList();
    case "no_list":
      return success({ total_instances: 0 });
    case "no_total":
      return success({ next_token: null, instances: [] });
    case "null_list":
      return success({ instances_found: 0, total_instances: 0, next_token: null, instances: null });
    case "list_is_object":
      return success({ instances_found: 0, total_instances: 0, next_token: null, instances: {} });
    default:
      return { status: 200, type: "application/json", body: '{"success":true,"instances":[{"id":40' };
  }
}

/** The rows as of then; of a time before the first list that was kept, those of today that were there already. */
function ageRows({ past, faults, now }: Context, rows: Row[]): Row[] {
  if (!faults.list().some(({ name }) => name === "list_stale")) {
    past.length = 0;
    return rows;
  }
  past.push({ at: now(), rows });
  if (past.length > 500) past.shift();
  const hit = faults.strike("list_stale", { on: "list" });
  if (!hit) return rows;
  const then = now() - hit.ms;
  return (
    past.findLast(({ at }) => at <= then)?.rows ??
    rows.filter(({ start_date }) => (start_date as number) * 1000 <= then)
  );
}

interface Page {
  rows: unknown[];
  total: number;
  found: number;
  next: string | null;
}

const ODD_ROWS: Record<string, (row: Row) => unknown> = {
  no_id: ({ id: _, ...row }) => row,
  bad_id: (row) => ({ ...row, id: `C.${row.id}` }),
  null: () => null,
  text: (row) => `instance ${row.id}`,
};

function spoilPage({ faults }: Context, { rows, total, found, next }: Page): Page {
  const on = "list";
  let page = rows;
  if (page.length > 0 && faults.strike("list_short", { on })) page = page.slice(0, -1);
  if (page.length > 0 && faults.strike("list_doubled", { on })) page = [...page, page.at(-1)];
  const odd = page.length > 0 ? faults.strike("list_row_odd", { on }) : null;
  if (odd) page = [...page.slice(0, -1), ODD_ROWS[odd.variant]!(page.at(-1) as Row)];
  const empty = faults.strike("list_empty", { on });
  if (empty) {
    const isTotal = empty.variant === "total_instances";
    return { rows: [], total: isTotal ? total : 0, found: isTotal ? 0 : found, next: null };
  }
  const isCircle = faults.strike("list_circle", { on }) !== null;
  return { rows: page, total, found, next: isCircle ? writeToken(0, 0) : next };
}

export async function listInstances(context: Context): Promise<Reply> {
  const { faults, request } = context;
  const broken = faults.strike("list_fails", { on: "list" });
  if (broken) return breakList(broken.variant);
  const { query } = request;
  const filters = asObject(readArgument(query, "select_filters") ?? {});
  const wrong = filters ? checkFilters(filters) : "select_filters must be an object";
  if (!filters || wrong) return invalid(String(wrong));
  const computed = Object.keys(filters).find((field) => COMPUTED.includes(field));
  if (computed) return invalid(`column ${computed} cannot be filtered`);
  const order = readOrder(readArgument(query, "order_by"), [["id", "asc"]]);
  const known = ageRows(context, await showMachines(context, "list"));
  const all = orderRows(
    known.filter((row) => matchesFilters(row, filters, (one, field) => one[field])),
    [...order, ["id", "asc"]],
  );
  const token = query.get("after_token");
  const isRefused = token && faults.strike("list_token_refused", { on: "list" });
  const start = isRefused ? null : readPageStart(token, all);
  if (start === null) return failure(400, "invalid_token", "error 400: after_token is not valid");
  const asked = query.has("limit") ? Number(query.get("limit")) : MAX_PAGE;
  const limit = faults.strike("list_pages", { on: "list" })?.amount ?? (asked > 0 ? Math.min(asked, MAX_PAGE) : 5);
  const end = Math.min(start + Math.max(1, limit), all.length);
  const isText = faults.strike("numbers_as_text", { on: "list" }) !== null;
  const columns = readArgument(query, "select_cols");
  const rows = all.slice(start, end).map((row) => selectColumns(isText ? writeNumbersAsText(row) : row, columns));
  const next = end < all.length ? writeToken(all[end - 1]!.id, end) : null;
  const page = spoilPage(context, { rows, total: all.length, found: all.length, next });
  const counts: Record<string, number> = {};
  for (const row of all) counts[String(row.label ?? "")] = (counts[String(row.label ?? "")] ?? 0) + 1;
  return success({
    instances_found: page.found,
    total_instances: page.total,
    label_counts: counts,
    next_token: page.next,
    instances: page.rows,
  });
}

function selectColumns(row: Row, columns: unknown): Row {
  if (!Array.isArray(columns) || columns.includes("*")) return row;
  return Object.fromEntries(columns.map((column) => [column, row[column] ?? null]));
}
