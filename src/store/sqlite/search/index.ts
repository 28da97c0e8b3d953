import type { SearchStore } from '../../search-store.js';
import type { Connection } from '../connection.js';
import { retryBusy } from '../retry-busy.js';
import { machineByNumber, machinesNamed, machinesOf, numberMachines } from './machines.js';
import { searchKeys } from './search-keys.js';

/** Searches in SQLite. */
export function sqliteSearch(c: Connection): SearchStore {
  return {
    keys: (search, options) => retryBusy('searching keys', () => searchKeys(c, search, options)),
    machinesOf: (users, limit) => retryBusy('searching machines', () => machinesOf(c, users, limit)),
    machinesNamed: (name, limit) => retryBusy('searching machines', () => machinesNamed(c, name, limit)),
    machineByNumber: (number) => retryBusy('reading a machine', () => machineByNumber(c, number)),
    numberMachines: (clientIds) => retryBusy('numbering machines', () => numberMachines(c, clientIds)),
  };
}
