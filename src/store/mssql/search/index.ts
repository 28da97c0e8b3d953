import type { SearchStore } from '../../search-store.js';
import type { Connection } from '../connection.js';
import { run } from '../run.js';
import { machineByNumber, machinesNamed, machinesOf, numberMachines } from './machines.js';
import { searchKeys } from './search-keys.js';

/** Searches on SQL Server. */
export function mssqlSearch(
  c: Connection,
  write: <T>(doing: string, work: () => Promise<T>) => Promise<T>,
): SearchStore {
  return {
    keys: (search, options) => run('searching keys', () => searchKeys(c, search, options)),
    machinesOf: (users, limit) => run('searching machines', () => machinesOf(c, users, limit)),
    machinesNamed: (name, limit) => run('searching machines', () => machinesNamed(c, name, limit)),
    machineByNumber: (number) => run('reading a machine', () => machineByNumber(c, number)),
    numberMachines: (clientIds) => write('numbering machines', () => numberMachines(c, clientIds)),
  };
}
