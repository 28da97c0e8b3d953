import type { DeviceImport, DeviceRow } from './policy-store.js';

/** What an import writes. */
export interface DeviceChanges {
  readonly added: readonly DeviceRow[];
  readonly changed: readonly DeviceRow[];
  /** Keys of devices that go. */
  readonly removed: readonly string[];
  readonly counts: DeviceImport;
}

const same = (a: DeviceRow, b: DeviceRow): boolean =>
  a.machineName === b.machineName &&
  a.domain === b.domain &&
  a.hardwareId === b.hardwareId &&
  a.tag === b.tag;

/** What differs between the stored devices and those of an import. */
export function deviceChanges(
  stored: readonly DeviceRow[],
  rows: readonly DeviceRow[],
  replace: boolean,
): DeviceChanges {
  const before = new Map(stored.map((row) => [row.deviceKey, row]));
  const now = new Set(rows.map((row) => row.deviceKey));
  const added = rows.filter((row) => !before.has(row.deviceKey));
  const changed = rows.filter((row) => {
    const old = before.get(row.deviceKey);
    return old !== undefined && !same(old, row);
  });
  const removed = replace ? [...before.keys()].filter((key) => !now.has(key)) : [];
  const counts = {
    added: added.length,
    changed: changed.length,
    unchanged: rows.length - added.length - changed.length,
    removed: removed.length,
  };
  return { added, changed, removed, counts };
}
