/**
 * Filters, order and pages as vast.ai understands them: `{field: {op: value}}`, where a value for a number may be a
 * string, and `order` is a list of [field, direction].
 */

export type Row = Record<string, unknown>;
export type Filters = Record<string, unknown>;

/** Two values made comparable: numbers where both read as numbers, booleans where one is a boolean, else text. */
function alignValues(
  left: unknown,
  right: unknown,
): [number | string | boolean | null, number | string | boolean | null] {
  const a = (left ?? null) as number | string | boolean | null;
  const b = (right ?? null) as number | string | boolean | null;
  if (a === null || b === null) return [a, b];
  if (typeof a === "boolean" || typeof b === "boolean") return [readBoolean(a), readBoolean(b)];
  const [x, y] = [readNumber(a), readNumber(b)];
  return x !== null && y !== null && (typeof a === "number" || typeof b === "number") ? [x, y] : [String(a), String(b)];
}

function readNumber(value: unknown): number | null {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value !== "string" || value.trim() === "") return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

function readBoolean(value: unknown): boolean {
  return value === true || value === 1 || value === "true" || value === "True" || value === "1";
}

function isEqual(left: unknown, right: unknown): boolean {
  const [a, b] = alignValues(left, right);
  return a === b;
}

function isOrdered(left: unknown, right: unknown, accept: (sign: number) => boolean): boolean {
  const [a, b] = alignValues(left, right);
  if (a === null || b === null) return false;
  return accept(a < b ? -1 : a > b ? 1 : 0);
}

const OPERATORS: Record<string, (left: unknown, right: unknown) => boolean> = {
  eq: isEqual,
  neq: (left, right) => !isEqual(left, right),
  gt: (left, right) => isOrdered(left, right, (sign) => sign > 0),
  gte: (left, right) => isOrdered(left, right, (sign) => sign >= 0),
  lt: (left, right) => isOrdered(left, right, (sign) => sign < 0),
  lte: (left, right) => isOrdered(left, right, (sign) => sign <= 0),
  in: (left, right) => Array.isArray(right) && right.some((one) => isEqual(left, one)),
  notin: (left, right) => Array.isArray(right) && !right.some((one) => isEqual(left, one)),
};

/** null when all is well, otherwise what is wrong with the filters. */
export function checkFilters(filters: Filters): string | null {
  for (const [field, condition] of Object.entries(filters)) {
    if (condition === null || typeof condition !== "object" || Array.isArray(condition)) {
      return `filter ${field} must be an object of operators`;
    }
    for (const op of Object.keys(condition)) if (!OPERATORS[op]) return `unknown operator ${op} on ${field}`;
  }
  return null;
}

export function matchesFilters(row: Row, filters: Filters, read: (row: Row, field: string, value: unknown) => unknown) {
  return Object.entries(filters).every(([field, condition]) =>
    Object.entries(condition as Record<string, unknown>).every(([op, value]) =>
      OPERATORS[op]!(read(row, field, value), value),
    ),
  );
}

export function orderRows<T extends Row>(rows: readonly T[], order: readonly (readonly [string, string])[]): T[] {
  return [...rows].sort((left, right) => {
    for (const [field, direction] of order) {
      const [a, b] = alignValues(left[field], right[field]);
      if (a === b) continue;
      // Null sorts as the greatest value, as it does in PostgreSQL.
      const sign = a === null ? 1 : b === null ? -1 : a < b ? -1 : 1;
      return direction.toLowerCase() === "desc" ? -sign : sign;
    }
    return 0;
  });
}

/** `order` of a search: pairs, and the laxer shapes that clients send. */
export function readOrder(order: unknown, otherwise: [string, string][]): [string, string][] {
  if (!Array.isArray(order)) return otherwise;
  const pairs = order.length > 0 && typeof order[0] === "string" ? [order] : order;
  const read = pairs.flatMap((pair): [string, string][] => {
    if (Array.isArray(pair) && typeof pair[0] === "string") return [[pair[0], String(pair[1] ?? "asc")]];
    if (pair && typeof pair === "object" && typeof pair.col === "string")
      return [[pair.col, String(pair.dir ?? "asc")]];
    return [];
  });
  return read.length > 0 ? read : otherwise;
}
