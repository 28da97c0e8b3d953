/** A JSON object whose names are unique at every level. */
export type StrictObject = Readonly<Record<string, unknown>>;

/**
 * Parses a small JSON object and refuses what JSON.parse lets pass: a name that stands twice (of
 * which the last would win, so that two readers could see two headers), and anything but an object.
 *
 * @throws Error saying what is wrong, without content.
 */
export function parseStrictObject(text: string): StrictObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('not JSON');
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new Error('not a JSON object');
  if (hasDuplicateName(text)) throw new Error('a name stands twice');
  // Own properties alone, so that a name such as "constructor" is looked up as what it is: absent.
  return Object.assign(Object.create(null), value) as StrictObject;
}

/** Whether any object in valid JSON has a name twice, escapes resolved. */
function hasDuplicateName(json: string): boolean {
  const open: (Set<string> | null)[] = [];
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\]]/g;
  for (let token = tokens.exec(json); token !== null; token = tokens.exec(json)) {
    const text = token[0];
    if (text === '{') open.push(new Set());
    else if (text === '[') open.push(null);
    else if (text === '}' || text === ']') open.pop();
    else {
      const names = open.at(-1);
      // A string is a name where a colon follows.
      if (names === null || names === undefined || !/^\s*:/.test(json.slice(tokens.lastIndex))) continue;
      const name = JSON.parse(text) as string;
      if (names.has(name)) return true;
      names.add(name);
    }
  }
  return false;
}
