import type { DataKeyRow } from '../../secrets/types.js';
import { guid, integer, text } from './columns.js';
import type { Connection } from './connection.js';

/**
 * Commits a data key with its wrap, in a transaction of its own, before its first use. The same
 * data key under another certificate adds a wrap; the same row again changes nothing.
 */
export function insertDataKey(c: Connection, row: DataKeyRow): void {
  c.immediate(() => {
    c.run(
      'INSERT INTO MPE_DataKeys (DataKeyId, CreatedAt, CreatedBy) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
      row.dataKeyId,
      row.createdAtMs,
      row.createdBy,
    );
    insertWrap(c, row);
  });
}

/**
 * Commits wraps of data keys that are there, all of them in one transaction or none. What is there stays.
 */
export function insertDataKeyWraps(c: Connection, rows: readonly DataKeyRow[]): void {
  c.immediate(() => {
    for (const row of rows) insertWrap(c, row);
  });
}

function insertWrap(c: Connection, row: DataKeyRow): void {
  c.run(
    `INSERT INTO MPE_DataKeyWraps (DataKeyId, CertificateThumbprint, Wrapped, WrappedAt)
     VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    row.dataKeyId,
    row.certificateThumbprint,
    row.wrapped,
    row.createdAtMs,
  );
}

/** Every wrap of every data key, oldest first: one row for each certificate that can open it. */
export function readDataKeys(c: Connection): DataKeyRow[] {
  return c
    .all(
      `SELECT k.DataKeyId, w.CertificateThumbprint, w.Wrapped, k.CreatedAt, k.CreatedBy
       FROM MPE_DataKeys k JOIN MPE_DataKeyWraps w ON w.DataKeyId = k.DataKeyId
       ORDER BY k.CreatedAt, k.DataKeyId, w.WrappedAt, w.CertificateThumbprint`,
    )
    .map((row) => ({
      dataKeyId: guid(row, 'DataKeyId'),
      certificateThumbprint: text(row, 'CertificateThumbprint'),
      wrapped: text(row, 'Wrapped'),
      createdAtMs: integer(row, 'CreatedAt'),
      createdBy: text(row, 'CreatedBy'),
    }));
}
