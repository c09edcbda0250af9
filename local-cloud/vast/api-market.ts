/** Offers and renting. */
import { checkFilters, type Filters, matchesFilters, orderRows, type Row, readOrder } from "./query.ts";
import { asObject, type Context, type Cut, parseJson } from "./route.ts";
import { showOffers, writeNumbersAsText } from "./show.ts";
import { failure, invalid, offerTaken, type Reply, success } from "./wire.ts";

const MAX_OFFERS = 64;
const MAX_ONSTART = 4048;

function readOfferField(row: Row, field: string, value: unknown): unknown {
  if (field === "id") return undefined; // A filter on id matches nothing, there as here.
  if (field === "verified") return row.verification === "verified";
  if (field === "geolocation") return String(row.geolocation).split(", ").at(-1);
  if (field === "driver_version" && /^\d+$/.test(String(value))) return row.driver_vers;
  return row[field];
}

const NOT_FILTERS = [
  "order",
  "type",
  "limit",
  "allocated_storage",
  "disable_bundling",
  "rented",
  "select_cols",
  "datacenter",
];

export function searchOffers(context: Context): Reply {
  const { faults, request } = context;
  const given = request.method === "GET" ? parseJson(request.query.get("q") ?? "{}") : request.body;
  const whole = asObject(given);
  const query = whole && request.path.endsWith("/search/asks") ? asObject(whole.q) : whole;
  if (!query) return { status: 400, body: { error: "invalid_request", msg: "Invalid json body" } };
  if (faults.strike("search_empty", { on: "search" })) return { status: 200, body: { offers: [] } };
  const filters: Filters = Object.fromEntries(Object.entries(query).filter(([key]) => !NOT_FILTERS.includes(key)));
  const wrong = checkFilters(filters);
  if (wrong) return invalid(wrong);
  const diskGb = Number(query.allocated_storage ?? 8);
  const type = String(query.type ?? "on-demand");
  let rows = showOffers(context, Number.isFinite(diskGb) ? diskGb : 8);
  if (type === "bid") rows = rows.map((row) => ({ ...row, is_bid: true, dph_base: row.min_bid }));
  if (!faults.strike("search_ignores_filters", { on: "search" })) {
    rows = rows.filter((row) => matchesFilters(row, filters, readOfferField));
  }
  const limit = Math.min(MAX_OFFERS, Math.max(1, Number(query.limit) || MAX_OFFERS));
  const page = orderRows(rows, readOrder(query.order, [["score", "desc"]])).slice(0, limit);
  const isText = faults.strike("numbers_as_text", { on: "search" }) !== null;
  return { status: 200, body: { offers: isText ? page.map(writeNumbersAsText) : page } };
}

function readEnv(value: unknown): Record<string, string> | null {
  if (value === null || value === undefined || typeof value === "string") return {}; // A string of flags has no effect.
  const env = asObject(value);
  return env && Object.fromEntries(Object.entries(env).map(([name, text]) => [name, String(text)]));
}

function checkCreate(body: Record<string, unknown>): string | null {
  const { onstart, label, disk, image, template_hash_id: template } = body;
  if (typeof image !== "string" && typeof template !== "string") return "image is required";
  if (typeof image === "string" && image.length > 1024) return "image is too long";
  if (disk !== undefined && disk !== null && !(Number(disk) >= 8)) return "disk must be at least 8 GB";
  if (typeof onstart === "string" && onstart.length > MAX_ONSTART) return `onstart is longer than ${MAX_ONSTART}`;
  if (typeof label === "string" && label.length > 256) return "label is longer than 256";
  const env = readEnv(body.env);
  if (!env) return "env must be an object";
  if (Object.entries(env).join("").length > 32_768) return "env is too long";
  return null;
}

interface Subject {
  on: "create";
  label: string | null;
}

function refuseCreate({ faults, id }: Context, subject: Subject): Reply | null {
  const poor = faults.strike("insufficient_credit", subject);
  if (poor?.variant === "spend_rate_limit") {
    return failure(400, "spend_rate_limit", "error 400/3411: spend_rate_limit New accounts may spend less per day.");
  }
  if (poor) {
    const msg = "insufficient_credit Your account lacks credit; see the billing page.";
    return failure(Number(poor.variant), "insufficient_credit", `error ${poor.variant}/3410: ${msg}`);
  }
  if (faults.strike("create_refused", subject)) return invalid("image is not a valid image");
  const taken = faults.strike("offer_taken", subject);
  return taken ? offerTaken(id, taken.variant) : null;
}

export function createInstance(context: Context): Reply | Cut {
  const { cloud, faults, request, id: offerId } = context;
  const body = asObject(request.body);
  if (!body) return { status: 400, body: { error: "invalid_request", msg: "Invalid json body" } };
  const wrong = checkCreate(body);
  if (wrong) return invalid(wrong);
  const label = typeof body.label === "string" && body.label !== "" ? body.label : null;
  const subject: Subject = { on: "create", label };
  const refused = refuseCreate(context, subject);
  if (refused) return refused;
  if (!cloud.findOffer(offerId)) return offerTaken(offerId, "404");
  const price = body.price === null || body.price === undefined ? null : Number(body.price);
  if (price !== null && !(price >= 0.001 && price <= 128))
    return failure(400, "invalid_price", "error 400/3470: invalid_price");

  const failed = faults.strike("create_error_with_contract", subject);
  const queued = failed ? null : faults.strike("create_queued", subject);
  const order = {
    offerId,
    image: typeof body.image === "string" ? body.image : "vastai/base-image:latest",
    diskGb: Number(body.disk ?? 10),
    label: faults.strike("label_lost", subject) ? null : label,
    env: readEnv(body.env) ?? {},
    onstart: typeof body.onstart === "string" ? body.onstart : null,
    runtype: typeof body.runtype === "string" ? body.runtype : "ssh",
    percent: faults.strike("price_changed", subject)?.amount,
  };
  const begins = failed || body.target_state === "stopped" ? "stopped" : queued ? { queuedMs: queued.ms } : "running";
  const contract = cloud.create({ ...order, begins });
  const [other] = cloud.offers();
  if (other && faults.strike("created_twice", subject)) cloud.create({ ...order, begins, offerId: other.id });
  if (failed) {
    const msg = "The instance was created but could not be scheduled.";
    return failure(Number(failed.variant), "scheduling_failed", msg, { new_contract: contract.id });
  }
  const lost = faults.strike("create_timeout_but_created", subject);
  if (lost) return { cutAfterMs: lost.ms, isReset: false };
  return success({ new_contract: contract.id, instance_api_key: contract.apiKey });
}
