import { codeOf, type TsqlRule } from './tsql-rules.js';

// What SQL Server refuses when it binds names, on every run of the statement, and Babelfish takes: so
// no test on a server can find it.

/** The text between a parenthesis and its partner, and where that is. */
function inside(code: string, open: number): { readonly text: string; readonly end: number } {
  let depth = 0;
  for (let at = open; at < code.length; at += 1) {
    if (code[at] === '(') depth += 1;
    if (code[at] === ')') depth -= 1;
    if (depth === 0) return { text: code.slice(open + 1, at), end: at };
  }
  return { text: code.slice(open + 1), end: code.length };
}

/** The query around a place: from the innermost open parenthesis that begins one. */
function queryAround(code: string, place: number): string | null {
  for (let at = place, depth = 0; at >= 0; at -= 1) {
    if (code[at] === ')') depth += 1;
    if (code[at] !== '(') continue;
    if (depth > 0) depth -= 1;
    else if (/^\s*SELECT\b/.test(code.slice(at + 1))) return inside(code, at).text;
  }
  return null;
}

const AGGREGATE = /\b(?:MAX|MIN|SUM|AVG|COUNT|COUNT_BIG|STRING_AGG)\s*\(/g;

/** Arguments of aggregates with the query that each stands in; null: it is no sub-query. */
function aggregates(code: string): { readonly of: string; readonly query: string | null }[] {
  return [...code.matchAll(AGGREGATE)].map((match) => ({
    of: inside(code, match.index + match[0].length - 1).text,
    query: queryAround(code, match.index - 1),
  }));
}

/** Names that a query gives to its tables. */
const namesIn = (query: string): Set<string> =>
  new Set(
    [...query.matchAll(/(?:\b(?:FROM|JOIN|APPLY)\s+[\w.]+|\))\s+(?:AS\s+)?(\w+)/g)].map(([, name]) => name!),
  );

/** An aggregate looks at a column from outside its query, and at another one: error 8124. */
function mixesQueries(code: string): boolean {
  return aggregates(code).some(({ of, query }) => {
    if (query === null) return false;
    const columns = new Set([...of.matchAll(/\b(\w+)\.\w+/g)].map(([column]) => column));
    const own = namesIn(query);
    const outer = [...columns].filter((column) => !own.has(column.split('.')[0]!));
    return outer.length > 0 && columns.size > 1;
  });
}

export const BINDING_RULES: readonly TsqlRule[] = [
  {
    name: 'aggregate over a sub-query (130)',
    found: (code) => aggregates(code).some(({ of }) => /\bSELECT\b/.test(of)),
  },
  { name: 'aggregate over columns of two queries (8124)', found: mixesQueries },
];

/**
 * Texts out of OPENJSON that meet a column without a COLLATE: `alias.column` with what is around it.
 * OPENJSON gives text in the collation of the database, words and names of the schema have another; a
 * comparison, a CASE or an IN of two such columns is refused (468, 451, 457). To be inserted or assigned
 * is no meeting.
 *
 * @param texts all SQL of one file, for one literal names what another one joins
 */
export function collationMeetings(texts: readonly string[]): string[] {
  const all = texts.join('\n');
  const columns = [...all.matchAll(/\b(\w+)\s+n?(?:var)?char\s*\(\s*\w+\s*\)\s+'\$/gi)].map(
    ([, name]) => name!,
  );
  const aliases = [
    ...all.matchAll(/(?:'\$[^']*'(?:\s+AS\s+JSON)?|\bWITH\s*\(\s*inserted)\s*\)\s+(?:AS\s+)?(\w+)/gi),
  ].map(([, alias]) => alias!);
  if (columns.length === 0 || aliases.length === 0) return [];
  const one = (names: readonly string[]): string => `(?:${[...new Set(names)].join('|').toUpperCase()})`;
  const text = String.raw`\b${one(aliases)}\.${one(columns)}\b(?!\s+COLLATE\b)`;
  const compare = String.raw`\s*(?:<>|<=|>=|=|<|>|\bLIKE\b)\s*`;
  const meeting = new RegExp(
    [
      // `SET Column = j.Column` assigns: its left side has no name before it.
      String.raw`(?:\b\w+\.\w+|@\w+|\))${compare}${text}`,
      String.raw`${text}${compare}(?!@|'')[\w.]+(?!\s*COLLATE\b)\b`,
      String.raw`\b(?:THEN|ELSE)\s+${text}`,
      String.raw`\b(?:COALESCE|NULLIF|ISNULL)\s*\([^()]*${text}`,
      String.raw`\bIN\s*\(\s*SELECT\s+${text}`,
    ].join('|'),
    'g',
  );
  return texts.flatMap((sql) =>
    [...codeOf(sql).matchAll(meeting)].map(([found]) => found.replaceAll(/\s+/g, ' ')),
  );
}

/** Tables, views and columns of a schema as its CREATE and ALTER statements spell them, by lower case. */
export function spellings(schema: string): ReadonlyMap<string, string> {
  const code = bare(schema);
  const names = [
    ...code.matchAll(/\b(?:TABLE|VIEW)\s+dbo\.(\w+)/g),
    ...code.matchAll(
      /(?:^\s*|\bADD\s+)(\w+)\s+(?:int|bigint|bit|n?varchar|char|varbinary|uniqueidentifier|datetime2)\b/gm,
    ),
  ].map(([, name]) => name!);
  return new Map(names.map((name) => [name.toLowerCase(), name]));
}

/** Words that are no names of the schema although one of its names is the same but for case. */
const OTHER_WORDS: ReadonlySet<string> = new Set(['COUNT', 'DISABLED', 'name', 'MessageID']);

/** Names in another case than the schema has: a database with a case-sensitive collation does not know them. */
export function otherSpellings(sql: string, names: ReadonlyMap<string, string>): string[] {
  return [...bare(sql).matchAll(/(?<![@\w])[A-Za-z_]\w*/g)]
    .map(([word]) => word)
    .filter((word) => !OTHER_WORDS.has(word) && (names.get(word.toLowerCase()) ?? word) !== word);
}

/** Without comments and literals, in the case that it has. */
const bare = (sql: string): string => sql.replaceAll(/--.*$/gm, '').replaceAll(/'(?:[^']|'')*'/g, "''");
