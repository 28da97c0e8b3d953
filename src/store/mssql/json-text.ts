/**
 * Free text inside OPENJSON parameters. Servers that speak T-SQL do not agree on the escapes of
 * JSON strings (Babelfish hands them through as they are), so text travels without any: what JSON
 * would escape is written `~` and a digit, and the statement puts it back. Other control characters
 * are left to JSON.
 *
 * | character | `~` | `"` | `\` | LF  | CR  | TAB |
 * |-----------|-----|-----|-----|-----|-----|-----|
 * | written   | `~0`| `~1`| `~2`| `~3`| `~4`| `~5`|
 */
const ESCAPED = '~"\\\n\r\t';

/** Text as it goes into a JSON row. */
export function jsonText(text: string): string {
  return text.replaceAll(/[~"\\\n\r\t]/g, (character) => `~${ESCAPED.indexOf(character)}`);
}

/**
 * The expression that makes text of a column written by {@link jsonText}. The binary collation makes
 * REPLACE exact: by another one `～1` could be taken for `~1`. `~0` comes last.
 *
 * @param column of this program's statements, never of input
 */
export function textOfJson(column: string): string {
  const bare = `${column} COLLATE Latin1_General_BIN2`;
  const quoted = `REPLACE(REPLACE(${bare}, N'~1', N'"'), N'~2', N'\\')`;
  const lines = `REPLACE(REPLACE(REPLACE(${quoted}, N'~3', NCHAR(10)), N'~4', NCHAR(13)), N'~5', NCHAR(9))`;
  return `REPLACE(${lines}, N'~0', N'~')`;
}
