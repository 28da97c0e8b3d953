/**
 * Numbers whose message quotes names alone: objects, columns, constraints, databases, logins.
 * Messages of other numbers may quote a value (`Conversion failed when converting the nvarchar
 * value '…'`), so that everything quoted is left out of them.
 */
const QUOTES_NAMES_ONLY: ReadonlySet<number> = new Set([
  207, 208, 213, 229, 230, 262, 297, 300, 515, 547, 911, 916, 1205, 1222, 2601, 2627, 2714, 2812, 3701, 3902,
  3903, 4060, 4902, 15151, 18456, 51001, 51002, 51003, 51004, 51005, 51006, 51007,
]);

/** What stands where a value stood. */
const LEFT_OUT = '…';

/**
 * The text of an error without values of rows, for logs and people.
 *
 * @param number the server's number, null where the driver or the network speaks.
 */
export function publicMessage(error: unknown, number: number | null): string {
  if (!(error instanceof Error)) return 'not an error';
  // 2627 and 2601 end with the values of the key, 2628 with the text that was too long.
  const said = error.message.replace(/\s*(?:The duplicate key value is|Truncated value:)[\s\S]*$/i, '');
  if (number === null || QUOTES_NAMES_ONLY.has(number)) return oneLine(said);
  return oneLine(said.replaceAll(/'(?:[^']|'')*'|"[^"]*"/g, `'${LEFT_OUT}'`));
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
