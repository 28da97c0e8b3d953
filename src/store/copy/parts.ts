import { MpeError } from '../../ops/errors.js';
import { COPY_TABLES, type CopyTable } from './tables.js';

/** What is copied in one go: a table, or the rows of it that may be written at that moment. */
export interface CopyPart {
  readonly table: CopyTable;
  /** A condition on the rows, in words that both dialects take; '' = all. */
  readonly where: string;
}

const HOLDS_SECRETS = ['MPE_KeySecrets', 'MPE_TpmOwnerAuthSecrets'];

const tableOf = (name: string): CopyTable => {
  const found = COPY_TABLES.find((table) => table.name === name);
  if (found === undefined) throw new MpeError('INTERNAL', `${name} is no table of a site`);
  return found;
};

/**
 * The parts in the order in which they are written. Plain text that a site stored before it had a
 * certificate goes in before the first data key: from then on the database refuses plain text.
 */
export const COPY_PARTS: readonly CopyPart[] = COPY_TABLES.flatMap((table): CopyPart[] => {
  if (table.name === 'MPE_DataKeys')
    return [
      ...HOLDS_SECRETS.map((name) => ({ table: tableOf(name), where: 'DataKeyId IS NULL' })),
      { table, where: '' },
    ];
  if (HOLDS_SECRETS.includes(table.name)) return [{ table, where: 'DataKeyId IS NOT NULL' }];
  return [{ table, where: '' }];
});

/** All rows of a table. */
export function wholeTable(table: CopyTable): CopyPart {
  return { table, where: '' };
}
