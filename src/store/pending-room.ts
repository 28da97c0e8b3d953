/** A waiting registration that its client has not asked for in so long makes room. */
export const PENDING_KEPT_MS = 7 * 86_400_000;
