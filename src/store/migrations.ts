import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MpeError } from '../ops/errors.js';

/** A numbered step of the schema. */
export interface Migration {
  readonly number: number;
  /** Releases without it cannot run on the schema that it makes: a line `--! breaking`. */
  readonly breaking: boolean;
  readonly sql: string;
  /** SHA-256 of the text with LF ends, hex: a released migration never changes. */
  readonly digest: string;
}

/** A row of MPE_Migrations. */
export interface AppliedMigration {
  readonly number: number;
  readonly breaking: boolean;
  readonly digest: string;
}

const NAME = /^(\d{6})\.sql$/;

/** Reads the numbered .sql files of a folder; they must be 1, 2, 3 … without a gap. */
export function readMigrations(folder: string): Migration[] {
  const names = readdirSync(folder).filter((name) => NAME.test(name));
  return names.sort().map((name, index) => {
    const number = Number(name.slice(0, 6));
    if (number !== index + 1)
      throw new MpeError('INTERNAL', `migration ${index + 1} is missing before ${name}`);
    const sql = readFileSync(join(folder, name), 'utf8').replaceAll('\r\n', '\n');
    return {
      number,
      breaking: /^--! breaking\s*$/m.test(sql),
      sql,
      digest: createHash('sha256').update(sql).digest('hex'),
    };
  });
}

/**
 * Compares the applied migrations with the known ones. Returns how many of the known ones are
 * applied: more applied than known is fine unless one of them is breaking, so that two releases can
 * run side by side.
 *
 * @throws MpeError SCHEMA_MISMATCH where a newer breaking migration, or another text of a known
 *   one, was applied.
 */
export function countApplied(applied: readonly AppliedMigration[], known: readonly Migration[]): number {
  for (const { number, breaking, digest } of applied) {
    const ours = known[number - 1];
    const facts = { schema: number, known: known.length };
    if (ours === undefined && breaking) {
      throw new MpeError(
        'SCHEMA_MISMATCH',
        `the database has the breaking migration ${number}, this release knows ${known.length}: run a newer release`,
        { facts },
      );
    }
    if (ours !== undefined && ours.digest !== digest) {
      throw new MpeError(
        'SCHEMA_MISMATCH',
        `migration ${number} of the database is not the one of this release: it was made by a build that never was released`,
        { facts },
      );
    }
  }
  return Math.min(applied.length, known.length);
}
