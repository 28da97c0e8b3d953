import { deviceChanges } from '../../device-changes.js';
import type { DeviceImport, DeviceRow } from '../../policy-store.js';
import { again } from '../again.js';
import { text } from '../columns.js';
import type { Connection } from '../connection.js';
import { jsonText, textOfJson } from '../json-text.js';
import { rowsOf, timeOf } from '../parameters.js';
import { firstSet, type Session } from '../session.js';

/** Rows of one statement: a parameter of some megabytes at most. */
const CHUNK = 5000;

/** Every device, by key. */
export async function readDevices(session: Session): Promise<DeviceRow[]> {
  const sets = await session.query(
    'SELECT DeviceKey, MachineName, Domain, HardwareId, Tag FROM MPE_Devices ORDER BY DeviceKey',
  );
  return firstSet(sets).map((row) => ({
    deviceKey: text(row, 'DeviceKey'),
    machineName: text(row, 'MachineName'),
    domain: text(row, 'Domain'),
    hardwareId: text(row, 'HardwareId'),
    tag: text(row, 'Tag'),
  }));
}

const KEYS = `OPENJSON(@rows) WITH (DeviceKey nvarchar(700) '$.DeviceKey') j`;
const DEVICES = `OPENJSON(@rows) WITH (DeviceKey nvarchar(700) '$.DeviceKey', MachineName nvarchar(256) '$.MachineName',
  Domain nvarchar(1024) '$.Domain', HardwareId nvarchar(1024) '$.HardwareId', Tag nvarchar(256) '$.Tag') j`;
const [KEY, NAME, DOMAIN, HARDWARE_ID] = ['DeviceKey', 'MachineName', 'Domain', 'HardwareId'].map((column) =>
  textOfJson(`j.${column}`),
);

/** Adds, changes and (with `replace`) removes devices, all or none. */
export function importDevices(
  connection: Connection,
  rows: readonly DeviceRow[],
  options: { readonly replace: boolean; readonly atMs: number },
): Promise<DeviceImport> {
  return again('importing devices', () =>
    connection.transaction(async (tx) => {
      const { added, changed, removed, counts } = deviceChanges(await readDevices(tx), rows, options.replace);
      for (const keys of chunks(removed)) {
        await tx.query(`DELETE FROM MPE_Devices WHERE DeviceKey IN (SELECT ${KEY} FROM ${KEYS})`, {
          rows: rowsOf(keys.map((key) => ({ DeviceKey: jsonText(key) }))),
        });
      }
      for (const some of chunks(added)) {
        await tx.query(
          `INSERT INTO MPE_Devices (DeviceKey, MachineName, Domain, HardwareId, Tag, ImportedAt)
           SELECT ${KEY}, ${NAME}, ${DOMAIN}, ${HARDWARE_ID}, j.Tag, @at FROM ${DEVICES}`,
          { rows: rowsOf(some.map(asRow)), at: timeOf(options.atMs) },
        );
      }
      for (const some of chunks(changed)) {
        await tx.query(
          `UPDATE d SET MachineName = ${NAME}, Domain = ${DOMAIN}, HardwareId = ${HARDWARE_ID}, Tag = j.Tag,
             ImportedAt = @at
           FROM MPE_Devices d JOIN ${DEVICES} ON ${KEY} = d.DeviceKey`,
          { rows: rowsOf(some.map(asRow)), at: timeOf(options.atMs) },
        );
      }
      return counts;
    }),
  );
}

const asRow = (row: DeviceRow): Record<string, string> => ({
  DeviceKey: jsonText(row.deviceKey),
  MachineName: jsonText(row.machineName),
  Domain: jsonText(row.domain),
  HardwareId: jsonText(row.hardwareId),
  Tag: row.tag,
});

function* chunks<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += CHUNK) yield items.slice(from, from + CHUNK);
}
