import type { DataKeyRow } from '../../secrets/types.js';
import { again } from './again.js';
import { guid, text, time } from './columns.js';
import type { Connection } from './connection.js';
import { inOrder } from './json-rows.js';
import { guidOf, rowsOf, sqlTime, textOf, timeOf, wordOf } from './parameters.js';
import { firstSet, type Session } from './session.js';

/**
 * Commits a data key with its wrap, in a transaction of its own, before its first use. The same
 * data key under another certificate adds a wrap; the same row again changes nothing.
 */
export async function insertDataKey(connection: Connection, row: DataKeyRow): Promise<void> {
  await again('adding a data key', () =>
    connection.transaction(async (tx) => {
      await tx.query(
        `INSERT INTO MPE_DataKeys (DataKeyId, CreatedAt, CreatedBy)
         SELECT @id, @createdAt, @createdBy
         WHERE NOT EXISTS (SELECT 1 FROM MPE_DataKeys WHERE DataKeyId = @id);
         INSERT INTO MPE_DataKeyWraps (DataKeyId, CertificateThumbprint, Wrapped, WrappedAt)
         SELECT @id, @thumbprint, @wrapped, @createdAt
         WHERE NOT EXISTS (SELECT 1 FROM MPE_DataKeyWraps
                           WHERE DataKeyId = @id AND CertificateThumbprint = @thumbprint);`,
        {
          id: guidOf(row.dataKeyId),
          createdAt: timeOf(row.createdAtMs),
          createdBy: textOf(row.createdBy),
          thumbprint: wordOf(row.certificateThumbprint),
          wrapped: wordOf(row.wrapped),
        },
      );
    }),
  );
}

/**
 * Commits wraps of data keys that are there, all of them in one transaction or none. What is there stays.
 *
 * @param rows - each (data key, certificate) once
 */
export async function insertDataKeyWraps(connection: Connection, rows: readonly DataKeyRow[]): Promise<void> {
  const json = inOrder(
    rows.map((row) => ({
      DataKeyId: row.dataKeyId,
      Thumbprint: row.certificateThumbprint,
      Wrapped: row.wrapped,
      WrappedAt: sqlTime(row.createdAtMs),
    })),
    ['DataKeyId', 'Thumbprint'],
  );
  await again('adding wraps of data keys', () =>
    connection.transaction(async (tx) => {
      await tx.query(
        `INSERT INTO MPE_DataKeyWraps (DataKeyId, CertificateThumbprint, Wrapped, WrappedAt)
         SELECT j.DataKeyId, j.Thumbprint, j.Wrapped, j.WrappedAt
         FROM OPENJSON(@rows) WITH (DataKeyId uniqueidentifier '$.DataKeyId',
           Thumbprint varchar(128) '$.Thumbprint', Wrapped varchar(max) '$.Wrapped',
           WrappedAt datetime2(3) '$.WrappedAt') j
         WHERE NOT EXISTS (SELECT 1 FROM MPE_DataKeyWraps t
                           WHERE t.DataKeyId = j.DataKeyId
                             AND t.CertificateThumbprint = j.Thumbprint COLLATE Latin1_General_BIN2)
         ORDER BY j.DataKeyId, j.Thumbprint;`,
        { rows: rowsOf(json) },
      );
    }),
  );
}

/** Every wrap of every data key, oldest first: one row for each certificate that can open it. */
export async function readDataKeys(session: Session): Promise<DataKeyRow[]> {
  const sets = await session.query(
    `SELECT k.DataKeyId, w.CertificateThumbprint, w.Wrapped, k.CreatedAt, k.CreatedBy
     FROM MPE_DataKeys k JOIN MPE_DataKeyWraps w ON w.DataKeyId = k.DataKeyId
     ORDER BY k.CreatedAt, CONVERT(char(36), k.DataKeyId), w.WrappedAt, w.CertificateThumbprint`,
  );
  return firstSet(sets).map((row) => ({
    dataKeyId: guid(row, 'DataKeyId'),
    certificateThumbprint: text(row, 'CertificateThumbprint'),
    wrapped: text(row, 'Wrapped'),
    createdAtMs: time(row, 'CreatedAt'),
    createdBy: text(row, 'CreatedBy'),
  }));
}
