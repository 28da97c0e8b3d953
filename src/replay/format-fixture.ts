/** Widest line of a fixture file, unless a value alone is wider. */
const WIDTH = 110;

/**
 * JSON as fixtures are written: what fits stands on one line. One form for all files keeps an update
 * down to the lines that changed.
 */
export function formatFixture(value: unknown): string {
  return `${format(value, 0)}\n`;
}

function flat(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flat).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .filter(([, entry]) => entry !== undefined)
      .map(([name, entry]) => `${JSON.stringify(name)}: ${flat(entry)}`)
      .join(', ')}}`;
  return JSON.stringify(value);
}

function format(value: unknown, indent: number): string {
  const line = flat(value);
  if (typeof value !== 'object' || value === null || line.length + indent <= WIDTH) return line;
  const pad = ' '.repeat(indent + 2);
  const end = ' '.repeat(indent);
  if (Array.isArray(value)) return `[\n${value.map((v) => pad + format(v, indent + 2)).join(',\n')}\n${end}]`;
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return `{\n${entries.map(([n, v]) => `${pad}${JSON.stringify(n)}: ${format(v, indent + 2)}`).join(',\n')}\n${end}}`;
}
