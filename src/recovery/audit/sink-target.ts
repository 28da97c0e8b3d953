import type { AuditRow } from '../../store/disclosure-store.js';

/** What became of rows that were sent. */
export type Sent =
  | { readonly kind: 'taken' }
  /** The receiver says that it will never take these rows: they are malformed to it, or too large. */
  | { readonly kind: 'refused'; readonly detail: string };

/** Where a sink sends rows. */
export interface SinkTarget {
  /** Names its place in the database: what kind, where to. At most 128 of ASCII. */
  readonly id: string;
  readonly kind: 'syslog' | 'https';
  /** Whether the connection that took the last rows is gone since. */
  lost(): boolean;
  /** Rows to send again then, because nobody acknowledged them. */
  overlap(): number;
  /**
   * Sends rows, in order.
   *
   * @throws MpeError UNREACHABLE where it is not known whether they came: they are sent again
   */
  send(rows: readonly AuditRow[], signal: AbortSignal): Promise<Sent>;
  close(): void;
}
