import { SEEN_EVERY_MS, type ManagementPointRow } from '../../policy-store.js';
import { integer, text, word } from '../columns.js';
import type { Connection } from '../connection.js';

/** Notes that gateways are there; one that was seen a moment ago as it is now costs no write. */
export function recordManagementPoints(
  c: Connection,
  points: readonly Omit<ManagementPointRow, 'firstSeenAtMs' | 'lastSeenAtMs'>[],
  atMs: number,
): void {
  const known = new Map(managementPoints(c).map((point) => [point.id, point]));
  const news = points.filter((point) => {
    const before = known.get(point.id);
    return (
      before?.channel !== point.channel ||
      before.address !== point.address ||
      before.lastSeenAtMs <= atMs - SEEN_EVERY_MS
    );
  });
  if (news.length === 0) return;
  c.immediate(() => {
    for (const point of news) {
      c.run(
        `INSERT INTO MPE_ManagementPoints (ManagementPointId, Channel, Address, FirstSeenAt, LastSeenAt)
         VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (ManagementPointId) DO UPDATE
         SET Channel = excluded.Channel, Address = excluded.Address, LastSeenAt = max(LastSeenAt, excluded.LastSeenAt)`,
        point.id,
        point.channel,
        point.address,
        atMs,
        atMs,
      );
    }
  });
}

/** Every gateway that was ever seen, by name. */
export function managementPoints(c: Connection): ManagementPointRow[] {
  return c.all('SELECT * FROM MPE_ManagementPoints ORDER BY ManagementPointId').map((row) => ({
    id: text(row, 'ManagementPointId'),
    channel: word(row, 'Channel', ['HTTPS', 'ENHANCED_HTTP', 'HTTP'] as const),
    address: text(row, 'Address'),
    firstSeenAtMs: integer(row, 'FirstSeenAt'),
    lastSeenAtMs: integer(row, 'LastSeenAt'),
  }));
}
