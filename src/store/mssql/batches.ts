/**
 * The batches of a .sql file: `GO` alone on a line ends one, as with every tool of SQL Server.
 * Batches that hold nothing but comments are left out. A `GO` line inside a text or a block comment
 * would split as well, there as here; the static test of our files says that there is none.
 */
export function splitBatches(sql: string): string[] {
  return sql.split(/^[ \t]*GO[ \t]*(?:\n|$)/im).filter(hasStatement);
}

const hasStatement = (batch: string): boolean =>
  batch.split('\n').some((line) => line.trim() !== '' && !line.trimStart().startsWith('--'));
