import { deviceChanges } from '../../device-changes.js';
import type { DeviceImport, DeviceRow } from '../../policy-store.js';
import { text } from '../columns.js';
import type { Connection, SqlRow } from '../connection.js';

const COLUMNS = 'DeviceKey, MachineName, Domain, HardwareId, Tag';

/** Every device, by key. */
export function readDevices(c: Connection): DeviceRow[] {
  return c.all(`SELECT ${COLUMNS} FROM MPE_Devices ORDER BY DeviceKey`).map(deviceOf);
}

/** At most `limit` devices after a key, by key. */
export function devicesAfter(c: Connection, after: string, limit: number): DeviceRow[] {
  return c
    .all(`SELECT ${COLUMNS} FROM MPE_Devices WHERE DeviceKey > ? ORDER BY DeviceKey LIMIT ?`, after, limit)
    .map(deviceOf);
}

function deviceOf(row: SqlRow): DeviceRow {
  return {
    deviceKey: text(row, 'DeviceKey'),
    machineName: text(row, 'MachineName'),
    domain: text(row, 'Domain'),
    hardwareId: text(row, 'HardwareId'),
    tag: text(row, 'Tag'),
  };
}

/** Adds, changes and (with `replace`) removes devices, all or none. */
export function importDevices(
  c: Connection,
  rows: readonly DeviceRow[],
  options: { readonly replace: boolean; readonly atMs: number },
): DeviceImport {
  return c.immediate(() => {
    const { added, changed, removed, counts } = deviceChanges(readDevices(c), rows, options.replace);
    for (const key of removed) c.run('DELETE FROM MPE_Devices WHERE DeviceKey = ?', key);
    for (const row of [...added, ...changed]) {
      c.run(
        `INSERT INTO MPE_Devices (DeviceKey, MachineName, Domain, HardwareId, Tag, ImportedAt)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (DeviceKey) DO UPDATE SET MachineName = excluded.MachineName, Domain = excluded.Domain,
           HardwareId = excluded.HardwareId, Tag = excluded.Tag, ImportedAt = excluded.ImportedAt`,
        row.deviceKey,
        row.machineName,
        row.domain,
        row.hardwareId,
        row.tag,
        options.atMs,
      );
    }
    return counts;
  });
}
